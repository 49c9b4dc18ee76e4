"""The soundness zoo: small models made to fool provers, each with the reason why it might.

Every member has at most 8 tokens and 4 positions, so that `certkit.exact` decides it completely.
Members are sorted by the number of their sequences: the first one a strategy breaks on is the smallest.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping

import attrs
import torch
from torch import Tensor

from certkit.exact import Truth, truth_of
from certkit.testing.models import Kind, Sizes, skilled_weights, tiny_weights

__all__ = ["Specimen", "random_specimens", "zoo"]


@attrs.frozen(eq=False)
class Specimen:
    """One model of the zoo.

    Attributes:
        name: unique in the zoo.
        trap: what an unsound prover overlooks here.
        weights: the seven tensors, float32.
    """

    name: str
    trap: str
    weights: Mapping[str, Tensor]

    @property
    def truth(self) -> Truth:
        """What the model gets right, exactly (computed once)."""
        return truth_of(self.weights)

    @property
    def sequences(self) -> int:
        """V^K."""
        return int(self.weights["W_E"].shape[0] ** self.weights["W_pos"].shape[0])


def _float32(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.float() for name, tensor in weights.items()}


def _edge_of_attention(sizes: Sizes, ulps: int) -> dict[str, Tensor]:
    """K−1 tokens m−1 pull the mean rank to just m − 1/2; `ulps` moves one weight across that edge."""
    weights = _float32(skilled_weights(sizes, 0.0, 4.0))
    # With e^s = K − 1 one m weighs as much as K − 1 others. The float32 nearest to that s is not it; then
    # ulps.
    sharpness = torch.log(torch.tensor(float(sizes.n_ctx - 1))) * torch.tensor(float(sizes.d_head)).sqrt()
    weights["W_Q"][1, 0] = sharpness
    weights["W_Q"].view(torch.int32)[1, 0] += ulps
    return weights


def _zero_attention(sizes: Sizes) -> dict[str, Tensor]:
    """Uniform attention and rational everything: margins are rationals, and many are exactly 0."""
    weights = _float32(skilled_weights(sizes, 0.0, 2.0))
    weights["W_Q"].zero_()
    return weights


def _equal_columns(sizes: Sizes) -> dict[str, Tensor]:
    """The two largest tokens have the same output column: whenever one is the maximum, the other ties with
    it.
    """
    weights = _float32(skilled_weights(sizes, 4.0, 2.0))
    weights["W_U"][:, -1] = weights["W_U"][:, -2]
    return weights


def _one_ulp_columns(sizes: Sizes) -> dict[str, Tensor]:
    """As equal columns, but the largest token wins by one unit in the last place of one weight."""
    weights = _equal_columns(sizes)
    bias = weights["W_U"][1]
    bias.view(torch.int32)[-1] += -1 if bias[-1] < 0 else 1  # towards +inf, on the constant dimension
    return weights


def _cancelling(sizes: Sizes, seed: int) -> dict[str, Tensor]:
    """Equal columns, plus large weights that cancel exactly: only rounding errors are left of them.

    The last two dimensions of the residual stream always hold the same number; every output reads them with
    weights ``L`` and ``−L``. In the reals nothing changes and the two largest tokens tie; in floating point
    the tie is broken at random.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = tiny_weights(Kind.SHARP, sizes, seed)
    for name in ("W_E", "W_pos", "W_O"):
        weights[name][:, -1] = weights[name][:, -2]
    weights["W_U"][:, -1] = weights["W_U"][:, -2]
    large = 1e5 * torch.randn(sizes.vocab, generator=generator)
    weights["W_U"][-2], weights["W_U"][-1] = large, -large
    return weights


def _constant(sizes: Sizes) -> dict[str, Tensor]:
    """All logits equal for every input: each sequence with a wrong token to confuse is a tie, hence wrong."""
    return {name: torch.ones(shape) for name, shape in sizes.shapes().items()}


def _one_bad_position(sizes: Sizes) -> dict[str, Tensor]:
    """Right everywhere, except where token 0 stands at position 0 under a query that looks there."""
    weights = _float32(skilled_weights(sizes, 5.0, 4.0))
    weights["W_pos"][0, 0] = -2.0  # position 0 looks smaller than it is: the maximum there is missed
    return weights


def _bad_query(sizes: Sizes) -> dict[str, Tensor]:
    """Query 0 attends to small tokens; all other queries are right."""
    weights = _float32(skilled_weights(sizes, 5.0, 4.0))
    weights["W_E"][0, 1] = -1.0
    return weights


def _direct_path(sizes: Sizes) -> dict[str, Tensor]:
    """The direct path of one query adds to one wrong output what the head cannot outvote for small maxima."""
    weights = _float32(skilled_weights(sizes, 5.0, 0.5))
    weights["W_E"][1, 3] = 1.0
    weights["W_U"][3, 0] = 1.25
    return weights


def _paired_keys(sizes: Sizes) -> dict[str, Tensor]:
    """Tokens 2i and 2i+1 get the same attention: an odd maximum cannot be told from the token below it.

    Tokens further below get almost none, so a proof succeeds from gap 2 on and fails at gap 1.
    """
    weights = _float32(skilled_weights(sizes, 1.0, 4.0))
    weights["W_E"][:, 3] = 12.0 * (torch.arange(sizes.vocab) // 2)
    weights["W_K"][0, 0], weights["W_K"][3, 0] = 0.0, 1.0
    return weights


def _scrambled(sizes: Sizes, seed: int) -> dict[str, Tensor]:
    """Scores of full rank: what a low-rank approximation of the attention leaves out decides sequences."""
    generator = torch.Generator().manual_seed(seed)
    weights = _float32(skilled_weights(sizes, 3.0, 8.0))
    weights["W_E"][:, 4:] = torch.randn(sizes.vocab, sizes.d_model - 4, generator=generator)
    for name in ("W_Q", "W_K"):
        weights[name][4:] = 1.5 * torch.randn(sizes.d_model - 4, sizes.d_head, generator=generator)
    return weights


def _harmful_attention(sizes: Sizes) -> dict[str, Tensor]:
    """The largest token is right by default, and attention on it is what spoils that.

    Tokens 0 and 1 get little and much attention beside it: the former leave too much on the maximum.
    """
    weights = {name: torch.zeros(shape) for name, shape in sizes.shapes().items()}
    weights["W_E"][:2, 0] = torch.tensor([-4.0, 4.0])
    weights["W_E"][:, 1], weights["W_E"][2, 2] = 1.0, 1.0
    weights["W_Q"][1, 0], weights["W_K"][0, 0] = 2.0, 1.0
    weights["W_V"][2, 0], weights["W_O"][0, 3] = 1.0, 1.0
    weights["W_U"][1, 2], weights["W_U"][3, 2] = 4.0, -6.0
    return weights


def _perturbed(seed: int) -> dict[str, Tensor]:
    """A coarse random model on which one step left out of a sub-cubic bound was seen to prove too much."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=generator).item()

    sizes = Sizes(3 + seed % 2, 2 + seed % 3 % 2, 4 + 2 * (seed % 2), 3)
    skilled = skilled_weights(sizes, uniform(0.2, 5.0), uniform(0.5, 8.0))
    noise = 10 ** uniform(-2.0, 0.5)
    weights = {}
    for name, tensor in skilled.items():
        drawn = torch.randn(*tensor.shape, generator=generator, dtype=torch.float64)
        weights[name] = ((tensor + noise * drawn * (uniform(0.0, 1.0) < 0.6)) * 16).round() / 16
    return weights


def _far_tokens(seed: int) -> dict[str, Tensor]:
    """A wild random model in which, far below the maximum, little attention meets little harm.

    Seen to fool a bound of a band of tokens by its largest weight times its largest gain, both of which
    belong to other tokens: for negative gains that product is too small.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=generator).item()

    skilled = skilled_weights(Sizes(6, 2, 4, 3), uniform(-3.0, 3.0), uniform(0.5, 8.0))
    noise = 10 ** uniform(-1.0, 1.0)
    weights = {}
    for name, tensor in skilled.items():
        drawn = torch.randn(*tensor.shape, generator=generator, dtype=torch.float64)
        weights[name] = tensor + noise * drawn * (uniform(0.0, 1.0) < 0.7)
    return weights


def _saturated(sizes: Sizes) -> dict[str, Tensor]:
    """Scores of thousands: every e^score overflows or underflows binary64 unless it is normalised."""
    return _float32(skilled_weights(sizes, 3000.0, 2.0))


def _made(name: str, trap: str, weights: Mapping[str, Tensor]) -> Specimen:
    return Specimen(name, trap, _float32(weights))


def _edges() -> Iterator[Specimen]:
    yield _made("one-token", "V = 1: no wrong token exists", tiny_weights(Kind.GAUSSIAN, Sizes(1, 3), 1))
    yield _made("one-position", "K = 1: the query is the maximum", tiny_weights(Kind.SKILLED, Sizes(5, 1), 1))
    yield _made("one-of-each", "V = K = 1", tiny_weights(Kind.INTEGER, Sizes(1, 1), 0))
    yield _made("two-tokens", "V = 2, K = 2", tiny_weights(Kind.SKILLED, Sizes(2, 2), 3))


def _built() -> Iterator[Specimen]:
    for v, k in ((3, 2), (5, 3), (6, 4)):
        sizes = Sizes(v, k)
        at = f"v{v}-k{k}"
        yield _made(f"constant-{at}", "every margin is exactly 0", _constant(sizes))
        yield _made(f"equal-columns-{at}", "ties by equal output columns", _equal_columns(sizes))
        yield _made(f"one-ulp-columns-{at}", "margins of one unit in the last place", _one_ulp_columns(sizes))
        yield _made(f"zero-attention-{at}", "rational margins, many exactly 0", _zero_attention(sizes))
        yield _made(f"saturated-{at}", "e^score overflows", _saturated(sizes))
        for ulps in (-1, 0, 1) if k > 2 else ():  # with K = 2 the edge is at sharpness 0
            trap = "one lower token decides: its margin is a rounding error wide"
            yield _made(f"edge-of-attention{ulps:+d}-{at}", trap, _edge_of_attention(sizes, ulps))
    for v, k in ((2, 2), (3, 2), (4, 3)):  # V = 2: bounds that take the worst of all wrong tokens are tight
        for seed in range(3):
            trap = "ties that only rounding errors break"
            weights = _cancelling(Sizes(v, k, d_model=6), seed)
            yield _made(f"cancelling-v{v}-k{k}-s{seed}", trap, weights)
    trap = "attention on the maximum does harm"
    yield _made("harmful-attention-v3-k2", trap, _harmful_attention(Sizes(3, 2)))
    yield _made("far-tokens-v6-k2", "a band's largest weight and gain are not one token's", _far_tokens(2244))
    for seed in (29, 102, 122):
        yield _made(f"perturbed-s{seed}", "a bound with a step left out", _perturbed(seed))
    for seed in range(4):
        weights = _scrambled(Sizes(5, 3, d_model=8), seed)
        yield _made(f"scrambled-v5-k3-s{seed}", "the residual of the scores decides", weights)
    for v, k in ((5, 3), (6, 4)):
        sizes = Sizes(v, k)
        at = f"v{v}-k{k}"
        yield _made(f"one-bad-position-{at}", "fails only by position", _one_bad_position(sizes))
        yield _made(f"bad-query-{at}", "one query in V is wrong", _bad_query(sizes))
        yield _made(f"paired-keys-{at}", "the token next below is as strong", _paired_keys(sizes))
        yield _made(f"direct-path-{at}", "one query pushes one wrong output", _direct_path(sizes))


def random_specimens(sizes: Sizes, seeds: range, kinds: Iterable[Kind] = tuple(Kind)) -> Iterator[Specimen]:
    """A random model of each of the kinds for each seed."""
    for kind in kinds:
        for seed in seeds:
            name = f"{kind}-v{sizes.vocab}-k{sizes.n_ctx}-s{seed}"
            yield _made(name, f"random, {kind} (see certkit.testing.models)", tiny_weights(kind, sizes, seed))


@functools.cache
def zoo() -> tuple[Specimen, ...]:
    """All built specimens, and random models: many very small ones, two of each kind in two sizes.

    The smallest come first.

    >>> max(specimen.sequences for specimen in zoo()) <= 8**4
    True
    """
    members = [*_edges(), *_built()]
    for sizes in (Sizes(2, 2, 2, 2), Sizes(3, 2), Sizes(3, 3)):
        members += random_specimens(sizes, range(12), (Kind.GAUSSIAN,))
    members += random_specimens(Sizes(4, 3), range(2))
    members += random_specimens(
        Sizes(4, 3), range(7, 8), (Kind.INTEGER,)
    )  # failures of outputs overlap in part
    members += random_specimens(Sizes(6, 4, 5, 4), range(2))
    return tuple(sorted(members, key=lambda specimen: specimen.sequences))
