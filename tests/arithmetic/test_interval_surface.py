"""What an Interval accepts, refuses, prints, and how it behaves among torch tensors."""

import copy
import io
import pickle
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

import certkit
from certkit import Interval
from certkit._interval import base
from certkit.environment import EnvironmentRefused
from certkit.testing.intervals import floats_like, members_of, random_intervals


def some(*shape: int, seed: int = 0) -> Interval:
    n = int(np.prod(shape))
    return random_intervals(n, torch.Generator().manual_seed(seed), extreme=False).reshape(*shape)


# --- making ---


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_exact_takes_every_real_float(dtype: torch.dtype) -> None:
    x = torch.tensor([0.1, -3.0, 2.0**-14], dtype=dtype)
    made = Interval.exact(x)
    assert made.dtype == torch.float64
    assert made.lo.tolist() == x.double().tolist() == made.hi.tolist()


def test_exact_takes_integers_bools_numbers_and_lists() -> None:
    assert Interval.exact(torch.tensor([2**53, -7])).lo.tolist() == [2.0**53, -7.0]
    assert Interval.exact(torch.tensor([True, False])).lo.tolist() == [1.0, 0.0]
    assert Interval.exact(torch.tensor([-(2**63), 2**62])).lo.tolist() == [-(2.0**63), 2.0**62]
    assert Interval.exact(3).lo.item() == 3.0
    assert Interval.exact(np.array([0.5])).lo.tolist() == [0.5]


BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: Interval.exact(torch.tensor([0.0, float("nan")])), ValueError, r"NaN at index \(1,\)"),
    (lambda: Interval.exact(torch.tensor([[1.0, float("inf")]])), ValueError, r"infinity at index \(0, 1\)"),
    (lambda: Interval.exact(torch.tensor([5, 2**53 + 1])), ValueError, r"9007199254740993 at index \(1,\)"),
    (lambda: Interval.exact(torch.tensor([2**63 - 1])), ValueError, "is not exactly a float64"),
    (lambda: Interval.exact(2**53 + 1), ValueError, "from_decimal"),
    (lambda: Interval.exact(torch.ones(2, requires_grad=True)), ValueError, r"detach\(\)"),
    (lambda: Interval.exact(torch.ones(2, dtype=torch.complex64)), TypeError, "complex64"),
    (lambda: Interval.exact(torch.ones(2).to_sparse()), TypeError, "dense"),
    (lambda: Interval.hull(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0])), ValueError, r"index \(1,\)"),
    (lambda: Interval.hull(float("inf"), float("inf")), ValueError, "bound no real"),
    (lambda: Interval.hull(0.0, float("nan")), ValueError, "hi: NaN"),
    (lambda: Interval.hull(torch.zeros(2), torch.ones(3)), RuntimeError, "size"),
    (lambda: Interval.ball(0.0, -1.0), ValueError, "negative"),
    (lambda: Interval.ball(float("inf"), 1.0), ValueError, "mid"),
    (lambda: Interval.from_decimal("0.1.2"), ValueError, "not a number"),
    (lambda: Interval.from_decimal("1e999999999"), ValueError, "exponents"),
    (lambda: Interval.from_decimal("1/0"), ValueError, "not a number"),
    (lambda: Interval.from_text("[2, 1]"), ValueError, "no real number"),
    (lambda: Interval.from_text("[nan, 1]"), ValueError, "not a number"),
    (lambda: Interval(), TypeError, r"Interval\.exact"),
    (lambda: bool(Interval.exact(1.0)), TypeError, "truth value"),
    (lambda: some(2) < 1, TypeError, "certainly_lt or possibly_lt"),
    (lambda: some(2) >= some(2), TypeError, "certainly_ge"),
    (lambda: some(2) == some(2), TypeError, "same_bounds"),
    (lambda: torch.ones(2) < some(2), TypeError, "certainly_gt or possibly_gt"),
    (lambda: torch.lt(torch.ones(2), some(2)), TypeError, "certainly_lt or possibly_lt"),
    (lambda: np.ones(2) * some(2), TypeError, "unsupported operand"),
    (lambda: torch.ones(2) == some(2), TypeError, "certainly_eq"),
    (lambda: hash(some(1)), TypeError, "unhashable"),
    (lambda: some(2) + "1", TypeError, "unsupported operand"),
    (lambda: some(2) + torch.tensor([1.0, float("nan")]), ValueError, "NaN"),
    (lambda: some(2) + float("inf"), ValueError, "infinity"),
    (lambda: some(2) + some(3), RuntimeError, "must match the size"),
    (lambda: some(2, 3) @ some(2, 3), RuntimeError, "shapes"),
    (lambda: torch.median(some(3)), TypeError, "median"),
    (lambda: torch.add(some(2), 1, alpha=2), TypeError, "alpha"),
    (lambda: torch.nn.functional.relu(some(2)), TypeError, "relu"),
    (lambda: some(2).pow(0.5), TypeError, "must be an int"),
    (lambda: setattr(some(2), "lo", torch.zeros(2)), AttributeError, "immutable"),
    (lambda: certkit.where(torch.tensor([True]), torch.ones(1), torch.ones(1)), TypeError, "torch.where"),
    (lambda: certkit.einsum("ij,jk", some(2, 2), some(2, 2)), ValueError, "output"),
    (lambda: certkit.einsum("ii,ij->j", some(2, 2), some(2, 2)), ValueError, "distinct"),
    (lambda: certkit.einsum("ij,jk->il", some(2, 2), some(2, 2)), ValueError, "'l'"),
    (lambda: certkit.einsum("ijk,jk->i", some(2, 2), some(2, 2)), ValueError, "2 dimensions"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_bad_input_is_refused_with_a_reason(case: int) -> None:
    act, error, message = BAD[case]
    with pytest.raises(error, match=message):
        act()


def test_a_thread_that_flushes_subnormals_is_refused(flush_denormal: None) -> None:
    made = Interval._unchecked(torch.ones(2), torch.ones(2))
    for act in (lambda: Interval.exact(1.0), lambda: Interval.hull(0, 1), lambda: made + torch.ones(2)):
        with pytest.raises(EnvironmentRefused, match="flushes subnormals"):
            act()


def test_a_thread_that_rounds_another_way_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounded upward 1 + u is above 1, rounded downward -1 - u is below -1; 1 + 2u is so in every mode."""
    monkeypatch.setattr(base, "_U", 2.0**-52)
    with pytest.raises(EnvironmentRefused, match="round to nearest"):
        Interval.exact(1.0)


def test_balls_contain_their_ends() -> None:
    generator = torch.Generator().manual_seed(3)
    mid, rad = floats_like(500, generator), floats_like(500, generator).abs()
    made = Interval.ball(mid, rad)
    for m, r, lo, hi in zip(mid.tolist(), rad.tolist(), made.lo.tolist(), made.hi.tolist(), strict=True):
        assert lo == -torch.inf or Fraction(lo) <= Fraction(m) - Fraction(r)
        assert hi == torch.inf or Fraction(hi) >= Fraction(m) + Fraction(r)


@pytest.mark.parametrize("text", ["0.1", "-1e-320", "1e400", "2/3", "0x1.8p-3", "123456789.123456789", "5"])
def test_literals_are_enclosed_tightly(text: str) -> None:
    made = Interval.from_decimal(text)
    exact = Fraction("3/16") if text.startswith("0x") else Fraction(text)
    assert Fraction(made.lo.item()) <= exact
    assert made.hi.item() == torch.inf or exact <= Fraction(made.hi.item())
    assert bool(certkit.rounding.next_up(made.lo) >= made.hi)


# --- printing ---


def test_printed_bounds_contain_the_bounds() -> None:
    from certkit._interval.display import decimal_down, decimal_up

    for value in floats_like(3000, torch.Generator().manual_seed(4)).tolist():
        assert (
            Fraction(Decimal(decimal_down(value))) <= Fraction(value) <= Fraction(Decimal(decimal_up(value)))
        )


def test_repr() -> None:
    third = Interval.exact(torch.tensor([1.0, -2.0])) / 3
    assert repr(third) == "Interval([[0.333333, 0.333334], [-0.666667, -0.666666]])"
    assert repr(Interval.exact(1.5)) == "Interval([1.5, 1.5])"
    assert repr(Interval.empty()) == "Interval([empty])"
    assert repr(Interval.entire()) == "Interval([-inf, inf])"
    assert repr(Interval.exact(torch.zeros(0, 2))) == "Interval([], shape=(0, 2))"
    assert "..." in repr(some(50, 50))
    assert len(repr(some(50, 50))) < 5000
    assert "<td>[1.5, 1.5]</td>" in Interval.exact(1.5)._repr_html_()


# --- among torch tensors ---


def test_torch_functions_do_what_the_methods_do(device: torch.device) -> None:
    x = some(3, 4).to(device)
    t = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).double().to(device)
    pairs = [
        (t + x, x + t),
        (t - x, -(x - t)),
        (t * x, x * t),
        (torch.add(x, 2), x + 2),
        (torch.matmul(t, x.mT), Interval.exact(t) @ x.mT),
        (t @ x.mT, Interval.exact(t) @ x.mT),
        (torch.sum(x, dim=1, keepdim=True), x.sum(1, keepdim=True)),
        (torch.square(x), x.sqr()),
        (torch.maximum(t, x), x.maximum(t)),
        (torch.cat([x, x]), certkit.cat([x, x])),
        (torch.stack([x, x], dim=1), certkit.stack([x, x], 1)),
        (torch.where(t > 0, x, 0.0), certkit.where(t > 0, x, 0.0)),
        (torch.reshape(x, (12,)), x.reshape(12)),
        (torch.exp(x), x.exp()),
        (1 / (abs(x) + 1), (abs(x) + 1).reciprocal()),
    ]
    for ours, method in pairs:
        assert isinstance(ours, Interval)
        assert ours.device.type == device.type
        assert bool(ours.same_bounds(method).all())


def test_shapes_move_both_bounds(device: torch.device) -> None:
    x = some(2, 3, 4).to(device)
    index = torch.tensor([2, 0], device=device)
    moves: list[Callable[[object], object]] = [
        lambda v: v[0],
        lambda v: v[..., 1:3],
        lambda v: v[:, None],
        lambda v: v[:, index],
        lambda v: v[torch.tensor([True, False], device=device)],
        lambda v: v.reshape(6, 4),
        lambda v: v.flatten(),
        lambda v: v.unflatten(2, (2, 2)),
        lambda v: v.transpose(0, 2),
        lambda v: v.permute(2, 0, 1),
        lambda v: v.movedim(0, -1),
        lambda v: v.mT,
        lambda v: v.unsqueeze(1).squeeze(1),
        lambda v: v.flip(0),
        lambda v: v.roll(1, 2),
        lambda v: v.narrow(1, 0, 2),
        lambda v: v.index_select(1, index),
        lambda v: v.gather(1, index.reshape(1, 2, 1).expand(2, 2, 4)),
        lambda v: v.take_along_dim(index.reshape(1, 2, 1), 1),
        lambda v: v.diagonal(0, 1, 2),
        lambda v: v[:1].expand(5, 3, 4),
        lambda v: v.broadcast_to((7, 2, 3, 4)),
    ]
    for move in moves:
        moved = move(x)
        assert isinstance(moved, Interval)
        assert torch.equal(moved.lo, move(x.lo))
        assert torch.equal(moved.hi, move(x.hi))
        assert moved.lo.shape == moved.hi.shape


def test_copies_and_pickles_keep_the_bounds() -> None:
    x = some(2, 3)
    buffer = io.BytesIO()
    pickle.dump(x, buffer)
    for again in (copy.deepcopy(x), pickle.loads(buffer.getvalue()), x.clone(), x.to("cpu")):
        assert bool(again.same_bounds(x).all())


def test_importing_certkit_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, certkit; assert not {'torch', 'numpy'} & set(sys.modules); certkit.Interval"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {"Interval", "cat", "where", "linalg"} <= set(dir(certkit))
    with pytest.raises(AttributeError, match="no_such_name"):
        certkit.no_such_name  # noqa: B018


# --- einsum, fma, comparisons ---


@pytest.mark.parametrize(
    "equation",
    ["ij,jk->ik", "bij,bjk->bik", "ij,kj->ki", "ij,ij->i", "ij,j->i", "i,j->ij", "ijk,j->k", "bi,bj->ijb"],
)
def test_einsum_contains_the_exact_sum(equation: str, device: torch.device) -> None:
    sizes = {"b": 2, "i": 3, "j": 4, "k": 2}
    left, right = equation.split("->")[0].split(",")
    x, y = some(*[sizes[c] for c in left], seed=1), some(*[sizes[c] for c in right], seed=2)
    result = certkit.einsum(equation, x.to(device), y.to(device)).to("cpu")
    generator = torch.Generator().manual_seed(3)
    for _ in range(5):
        a, b = members_of(x, generator), members_of(y, generator)
        output = equation.split("->")[1]
        exact: dict[tuple[int, ...], Fraction] = {}
        letters = sorted(set(left + right))
        for values in np.ndindex(*[sizes[c] for c in letters]):
            at = dict(zip(letters, values, strict=True))
            term = Fraction(a[tuple(at[c] for c in left)].item()) * Fraction(
                b[tuple(at[c] for c in right)].item()
            )
            key = tuple(at[c] for c in output)
            exact[key] = exact.get(key, Fraction(0)) + term
        assert result.shape == torch.einsum(equation, a, b).shape
        for key, value in exact.items():
            assert Fraction(result.lo[key].item()) <= value <= Fraction(result.hi[key].item())


def test_comparisons_are_decided_by_the_bounds(device: torch.device) -> None:
    x = Interval.hull(torch.tensor([0.0, 0.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, 3.0, 1.0])).to(device)
    assert x.certainly_lt(2).tolist() == [True, False, False, True]
    assert x.certainly_le(2).tolist() == [True, True, False, True]
    assert x.certainly_gt(0).tolist() == [False, False, True, True]
    assert x.certainly_ge(0).tolist() == [True, True, True, True]
    assert x.possibly_lt(1).tolist() == [True, True, False, False]
    assert x.possibly_le(1).tolist() == [True, True, False, True]
    assert x.possibly_gt(1).tolist() == [False, True, True, False]
    assert x.possibly_ge(2).tolist() == [False, True, True, False]
    assert x.certainly_eq(1).tolist() == [False, False, False, True]
    assert x.possibly_eq(1).tolist() == [True, True, False, True]
    assert x.certainly_ne(1).tolist() == [False, False, True, False]
    assert x.possibly_ne(1).tolist() == [True, True, True, False]
    assert x.contains(torch.tensor([1.0, 3.0, torch.inf, 1.0], device=device)).tolist() == [
        True,
        False,
        False,
        True,
    ]
