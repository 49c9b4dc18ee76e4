"""`explain` against the truth of tiny models: what it calls wrong is wrong, what it calls right is right."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certkit.content import SetContent, class_size
from proofs.explain import (
    ExplainError,
    Judgement,
    certified_by_n,
    explain,
    group_sizes,
    least_certified_class,
)
from proofs.model import Model
from proofs.proving import prove
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.truth import Truth, members


@given(m=st.integers(0, 5), q=st.integers(0, 5), k=st.integers(1, 5))
def test_groups_partition_the_class(m: int, q: int, k: int) -> None:
    if q <= m and (k > 1 or q == m):
        assert sum(group_sizes(q, m, k)) == class_size(q, m, k)


def _by_n(sequences: list[tuple[int, ...]], m: int, k: int) -> list[int]:
    counts = [0] * k
    for sequence in sequences:
        counts[sum(token != m for token in sequence[:-1])] += 1
    return counts


@pytest.mark.parametrize("strategy", ["cubic", "brute-force"])
@pytest.mark.parametrize("kind", [Kind.SKILLED, Kind.GAUSSIAN, Kind.TWIN])
def test_explanations_agree_with_exact_truth(kind: Kind, strategy: str) -> None:
    model = tiny_model(kind, Sizes(4, 3), seed=1)
    truth, certificate = Truth(model), prove(model, strategy)
    k = model.n_ctx
    for m, q in itertools.product(range(model.vocab), repeat=2):
        if q > m:
            continue
        result = explain(model, certificate, q, m)
        assert result.sequences == class_size(q, m, k)
        assert result.certified == sum(group.certified or 0 for group in result.groups)
        for group in result.groups:
            wrong = [
                s
                for s in truth.failing
                if (s[-1], max(s)) == (q, m) and sum(t != m for t in s[:-1]) == group.n
            ]
            call = group.closest
            assert call is not None
            assert (call.sequence[-1], max(call.sequence)) == (q, m)
            assert sum(t != m for t in call.sequence[:-1]) == group.n
            if call.judgement is Judgement.WRONG:
                assert call.sequence in truth.failing
            elif call.judgement is Judgement.CORRECT:
                assert truth.sign(call.sequence, call.x) < 0
                assert not wrong


def test_certified_by_n_is_enumeration() -> None:
    model = tiny_model(Kind.SKILLED, Sizes(4, 4), seed=3)
    for strategy in ("cubic", "brute-force"):
        for entry in prove(model, strategy).content.entries:
            assert isinstance(entry, SetContent)
            counts = certified_by_n(entry, 4)
            assert counts is not None
            expected = _by_n(list(members(entry, 4)), entry.m, 4)
            assert [counts[n] for n in range(4)] == expected


def test_refusals() -> None:
    model: Model = tiny_model(Kind.SKILLED, Sizes(3, 2), seed=0)
    other = tiny_model(Kind.SKILLED, Sizes(3, 2), seed=1)
    certificate = prove(model, "cubic")
    with pytest.raises(ExplainError, match="no such class"):
        explain(model, certificate, 2, 1)
    with pytest.raises(ExplainError, match="no such class"):
        explain(model, certificate, 0, 3)
    with pytest.raises(ExplainError, match="is about model"):
        explain(other, certificate, 0, 1)


def test_the_least_certified_class_is_where_most_is_missing() -> None:
    certificate = prove(tiny_model(Kind.GAUSSIAN, Sizes(4, 3), seed=2), "cubic")
    q, m = least_certified_class(certificate)
    proved = {(e.q, e.m): e.correct_at_least(3) for e in certificate.content.entries}
    missing = {(a, b): class_size(a, b, 3) - proved.get((a, b), 0) for b in range(4) for a in range(b + 1)}
    assert missing[q, m] == max(missing.values())


@pytest.mark.parametrize("k", [1, 2])
def test_short_sequences(k: int) -> None:
    model = tiny_model(Kind.SKILLED, Sizes(3, k), seed=0)
    assert explain(model, prove(model, "cubic"), 2, 2).sequences == class_size(2, 2, k)


def test_one_token_has_no_wrong_answer() -> None:
    model = tiny_model(Kind.GAUSSIAN, Sizes(1, 3), seed=0)
    (group,) = explain(model, prove(model, "cubic"), 0, 0).groups
    assert (group.closest, group.certified) == (None, 1)
