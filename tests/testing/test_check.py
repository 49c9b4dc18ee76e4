"""`check_strategy` passes sound strategies and finds what is wrong with unsound ones."""

from __future__ import annotations

import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import torch
from torch import Tensor

from certkit.certificate import CertifiedSet, TailContent, full_content
from certkit.content import Tail
from certkit.testing.check import check_strategy
from certkit.testing.models import Kind, Sizes
from certkit.testing.witnesses import adversarial_witnesses, map_leaves
from certkit.testing.zoo import random_specimens, zoo
from proofs.cells import max_over_others
from proofs.model import Model
from proofs.paths import path_tables
from proofs.strategy import find
from proofs.weights import attention_weights

if TYPE_CHECKING:
    from builtins import int as Nowhere

SMALL = tuple(s for s in zoo() if s.sequences <= 125)


@attrs.frozen
class Believer:
    """Certifies everything: as unsound as can be."""

    name: str = "believer"
    version: int = 1

    def search(self, model: Model) -> None:
        return None

    def verify(self, model: Model, witness: None) -> CertifiedSet:
        k = model.n_ctx
        classes = ((q, m) for q in range(model.vocab) for m in range(q, model.vocab) if k > 1 or q == m)
        return CertifiedSet(k, model.vocab, tuple(full_content(q, m, k) for q, m in classes))


@attrs.frozen
class Optimist(Believer):
    """Says of every class that at most one sequence fails, and only for x = 0."""

    name: str = "optimist"

    def verify(self, model: Model, witness: None) -> CertifiedSet:
        entries = [
            TailContent(e.q, e.m, 0.0, (Tail(0, 1.0, 1),) if e.m else ())
            for e in super().verify(model, None).entries
        ]
        return CertifiedSet(model.n_ctx, model.vocab, tuple(entries))


@attrs.frozen
class Middles(Believer):
    """The worst wrong token of each term by itself, which is sound, but middles of enclosures as exact."""

    name: str = "middles"

    def verify(self, model: Model, witness: None) -> CertifiedSet:
        paths, entries = path_tables(model), []
        rows = paths.EVOU[:, None, :] + paths.PVOU
        for q in range(model.vocab):
            direct, weights = paths.EUPU[q], attention_weights(model)[q]
            lead = max_over_others(rows) - rows + (max_over_others(direct) - direct)
            term = (weights.over(weights.exponent.max())[:, :, None] * lead).mid()  # [token, position, m]
            worst = term.cummax(0).values.diagonal(dim1=0, dim2=2)  # [position, m]
            total = worst[:-1].sum(0) + term[q, -1]
            classes = range(q, model.vocab) if model.n_ctx > 1 else [q]
            entries += [full_content(q, m, model.n_ctx) for m in classes if total[m] < 0]
        return CertifiedSet(model.n_ctx, model.vocab, tuple(entries))


@attrs.frozen
class Nervous(Believer):
    """Certifies nothing, and crashes on any witness but its own."""

    name: str = "nervous"

    def search(self, model: Model) -> Tensor:
        return torch.tensor([1.0, 2.0], dtype=torch.float64)

    def verify(self, model: Model, witness: Tensor) -> CertifiedSet:
        if ["one", "two"][round(float(witness[1])) - 1] != "two":
            raise ValueError("witness[1] must be 2")
        return CertifiedSet(model.n_ctx, model.vocab, ())


@attrs.frozen
class Moody(Believer):
    """Gives another answer each time."""

    name: str = "moody"
    seen: list[int] = attrs.field(factory=list, eq=False)

    def verify(self, model: Model, witness: None) -> CertifiedSet:
        self.seen.append(0)
        right = full_content(0, 0, model.n_ctx) if len(self.seen) % 2 and model.vocab == 1 else None
        return CertifiedSet(model.n_ctx, model.vocab, () if right is None else (right,))


@pytest.mark.parametrize("name", ["brute-force", "cubic"])
def test_sound_strategies_pass(name: str) -> None:
    report = check_strategy(find(name), specimens=SMALL)
    assert report.ok, str(report)
    assert report.models == len(SMALL)
    assert report.certified > 100


def test_an_unsound_strategy_is_caught_with_a_sequence() -> None:
    report = check_strategy(Believer())
    finding = report.findings[0]
    assert finding.law == "sound"
    assert "-v2-k2" in finding.model  # the smallest models on which anything fails
    assert finding.sequence is not None
    assert "logit" in str(report)


def test_a_forgotten_query_term_is_caught() -> None:
    """The example of a strategy, with one term left out: only one class in hundreds shows it."""
    source = (Path(__file__).parents[2] / "examples/my_strategy/my_strategy.py").read_text()
    assert source.count(" + f[q, -1]") == 1
    module = types.ModuleType("forgetful")
    broken = source.replace(" + f[q, -1]", "")
    exec(compile(broken, "forgetful.py", "exec", dont_inherit=True), module.__dict__)
    report = check_strategy(module.STRATEGIES[0], stop_after=1)
    assert [finding.law for finding in report.findings][:1] == ["sound"]
    assert report.findings[0].sequence is not None


def test_rounding_that_is_trusted_is_caught_though_the_bound_is_loose() -> None:
    tried = tuple(s for s in SMALL if s.weights["W_E"].shape[0] > 1)
    report = check_strategy(Middles(), specimens=tried, stop_after=1)
    assert [finding.law for finding in report.findings[:1]] == ["sound"], str(report)
    assert report.findings[0].model.startswith("cancelling-v2")


def test_too_few_failures_are_caught() -> None:
    report = check_strategy(Optimist(), specimens=SMALL, stop_after=100)
    sound = [finding for finding in report.findings if finding.law == "sound"]
    assert "sequences fail, claimed at most" in sound[0].message
    assert any(finding.law == "audits" for finding in report.findings)  # true by luck, but not proved


def test_a_crash_is_caught() -> None:
    report = check_strategy(Nervous(), specimens=SMALL[:4], hostile=7)
    assert {finding.law for finding in report.findings} == {"refuses cleanly"}


@attrs.frozen
class Careless(Believer):
    """Forgets that there may be no position before the query."""

    name: str = "careless"

    def search(self, model: Model) -> None:
        model.W_pos[:-1].amax(0)


def test_a_search_that_crashes_is_caught() -> None:
    """The report names the model; the run goes on with the next one."""
    specimens = [next(s for s in SMALL if s.name == "one-position"), SMALL[0]]
    report = check_strategy(Careless(), specimens=specimens)
    (finding,) = [found for found in report.findings if found.model == "one-position"]
    assert finding.law == "refuses cleanly"
    assert finding.message.startswith("search: IndexError")
    assert report.models == 2


@attrs.frozen(eq=False)
class Part:
    """One part of a witness."""

    inside: Tensor
    sizes: tuple[int, ...] = (1, 2)


@attrs.frozen(eq=False)
class Kept:
    """What `Forgetful` finds."""

    share: float
    parts: tuple[Part, ...]
    note: str = ""


@attrs.frozen
class Unknown:
    """What it holds is imported for type checkers alone."""

    count: Nowhere


INTS = Part(torch.tensor([1, 0]))


@attrs.frozen
class Forgetful(Believer):
    """Certifies nothing; its witness is whatever it is given."""

    name: str = "forgetful"
    witness: Any = None
    witness_type: type = Kept

    def search(self, model: Model) -> Any:
        return self.witness

    def verify(self, model: Model, witness: Any) -> CertifiedSet:
        return CertifiedSet(model.n_ctx, model.vocab, ())


LOST: dict[str, tuple[Any, str]] = {
    "bools": (Kept(0.5, (INTS, Part(torch.tensor([True])))), "field parts[1].inside is a torch.bool tensor"),
    "float32": (Kept(0.5, (Part(torch.ones(2)),)), "field parts[0].inside is a torch.float32 tensor"),
    "a NaN": (Kept(0.5, (Part(torch.tensor([torch.nan]).double()),)), "field parts[0].inside is nan"),
    "an infinity": (Kept(float("inf"), (INTS,)), "field share is inf; reals are finite floats"),
    "an int for a float": (Kept(1, (INTS,)), "field share is 1; reals are finite floats"),
    "a set": (Kept(0.5, (INTS,), {1, 2}), "field note is a set; a witness holds"),
    "a huge int": (Kept(0.5, (Part(INTS.inside, (2**60,)),)), "field parts[0].sizes[0] is 115"),
    "a list": (Kept(*[0.5, [INTS]]), "field parts is not the same"),
    "a gradient": (
        Kept(0.5, (Part(torch.ones(1).double().requires_grad_()),)),
        "field parts[0].inside is not",
    ),
    "a type not imported": (Unknown(1), "Unknown, has a field of an unknown type (name 'Nowhere' is not"),
    "another class": (Part(INTS.inside), "bad Kept"),
}


@pytest.mark.parametrize(("witness", "said"), LOST.values(), ids=LOST)
def test_a_witness_that_no_file_holds_is_caught(witness: Any, said: str) -> None:
    report = check_strategy(Forgetful(witness=witness), specimens=SMALL[:1], hostile=0)
    (finding,) = report.findings
    assert finding.law == "survives the file"
    assert finding.message.startswith("strategy 'forgetful': ")
    assert said in finding.message
    assert "\n" not in finding.message


def test_the_finding_says_what_to_do() -> None:
    (finding,) = check_strategy(Forgetful(witness=LOST["bools"][0]), specimens=SMALL[:1]).findings
    assert finding.message == (
        "strategy 'forgetful': witness field parts[1].inside is a torch.bool tensor; "
        "tensors are float64 or int64 (0 and 1 for false and true)"
    )


def test_a_witness_that_survives_is_verified_as_read_back() -> None:
    """The second verification has the witness of the file, not the object of the search."""

    @attrs.frozen
    class Sentimental(Forgetful):
        def verify(self, model: Model, witness: Any) -> CertifiedSet:
            mine = full_content(0, 0, model.n_ctx) if witness is self.witness and model.vocab == 1 else None
            return CertifiedSet(model.n_ctx, model.vocab, () if mine is None else (mine,))

    report = check_strategy(Sentimental(witness=Kept(-0.0, (INTS,))), specimens=SMALL[:1], hostile=0)
    assert [finding.law for finding in report.findings] == ["repeatable"]
    assert check_strategy(Forgetful(witness=Kept(-0.0, (INTS,))), specimens=SMALL[:1], hostile=0).ok


def test_two_answers_are_caught() -> None:
    report = check_strategy(Moody(), specimens=SMALL[:1])
    assert [finding.law for finding in report.findings] == ["repeatable"]


def test_hostile_witnesses_differ_and_keep_their_shape() -> None:
    witness = (torch.tensor([[1, 2]]), 0.5, (torch.tensor([3.0]),))
    changed = dict(adversarial_witnesses(witness, seed=1))
    assert len(changed) == 8
    for other in changed.values():
        assert other[0].shape == (1, 2)
        assert other[0].dtype == torch.int64
        assert type(other[1]) is float
    assert changed["all 0"][1] == 0.0
    assert map_leaves(witness, lambda leaf: leaf)[2][0] is witness[2][0]


def test_random_specimens_have_every_kind() -> None:
    names = [specimen.name for specimen in random_specimens(Sizes(2, 2), range(1))]
    assert len(names) == len(Kind)
