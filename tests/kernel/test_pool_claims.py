"""Pools in files: what is malformed is a clean finding, what is edited is refuted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from certkit.failing import MAX_LEVELS, class_size
from certkit.fileformat import encode
from certkit.kernel import audit
from tests.support.certs import certificate, document, saved, write
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.pools import pools

MODEL = tiny_model(Kind.SKILLED, Sizes(5, 3), 2)


Document = dict[str, Any]
POOLS = pools(MODEL)
CERT = certificate(MODEL, POOLS)


def edited(**fields: Any) -> Document:
    """The certificate with fields of the pool of the last class (4, 4) set to others."""
    whole = document(CERT)
    whole["proof"]["content"][-1]["pool"] |= fields
    return whole


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(MODEL, tmp_path_factory.mktemp("model"))


def test_the_control_is_verified(model_path: str, tmp_path: Path) -> None:
    verdict = audit(write(edited(), tmp_path), model_path)
    assert (verdict.verdict, verdict.rule) == ("verified", "all"), verdict
    assert verdict.audited_correct == CERT.claim.correct_at_least > 0
    sizes = [(e.failing_at_most, class_size(e.q, e.m, 3)) for e in POOLS]
    assert sum(0 < most < size for most, size in sizes) == 4, "neither trivial nor all"


REFUTED: dict[str, tuple[dict[str, Any], str]] = {
    "no level": ({"levels": 0}, "0 levels, not 1 to 64"),
    "levels below 0": ({"levels": -1}, "-1 levels, not 1 to 64"),
    "a level too many": ({"levels": MAX_LEVELS + 1}, "65 levels, not 1 to 64"),
    "2^53 levels": ({"levels": 1 << 53}, "9007199254740992 levels, not 1 to 64"),
    "negative multiplier": ({"multiplier": "-0x1.0p-2"}, "x=any a multiplier is >= 0, not -0.25"),
    "negative failures": ({"failing_at_most": -1}, "x=any failing between 0 and -1"),
    "33 bits": ({"failing_at_most": 2**32 + 1}, "x=any more than 32 bits in 4294967297"),
    "33 bits, wide": ({"failing_at_most": str(2**80 + 2**48)}, f"x=any more than 32 bits in {2**80 + 2**48}"),
    "light holds m": ({"light": [4, 4]}, "no set of tokens up to 3 in order: (4, 4)"),
    "light up to m": ({"light": [0, 4]}, "no set of tokens up to 3 in order: (0, 4)"),
    "light beyond the vocabulary": ({"light": [0, 99]}, "no set of tokens up to 3 in order: (0, 99)"),
    "light below 0": ({"light": [-1, 0]}, "no set of tokens up to 3 in order: (-1, 0)"),
    "light of odd length": ({"light": [0, 1, 2]}, "no set of tokens up to 3 in order: (0, 1, 2)"),
    "light turned round": ({"light": [1, 0]}, "no set of tokens up to 3 in order: (1, 0)"),
    "light out of order": ({"light": [2, 2, 0, 0]}, "no set of tokens up to 3 in order: (2, 2, 0, 0)"),
    "light twice": ({"light": [0, 0, 0, 0]}, "no set of tokens up to 3 in order: (0, 0, 0, 0)"),
    "light without a gap": ({"light": [0, 0, 1, 1]}, "no set of tokens up to 3 in order: (0, 0, 1, 1)"),
}
REFUSED: dict[str, dict[str, Any]] = {
    "levels true": {"levels": True},
    "levels as text": {"levels": "3"},
    "levels null": {"levels": None},
    "levels in a list": {"levels": [3]},
    "multiplier a number": {"multiplier": 1},
    "multiplier infinite": {"multiplier": "inf"},
    "multiplier no number": {"multiplier": "nan"},
    "multiplier -0": {"multiplier": "-0x0.0p+0"},
    "multiplier in another spelling": {"multiplier": "0x1p-2"},
    "shift infinite": {"shift": "-inf"},
    "shift a number": {"shift": 0},
    "light no list": {"light": 0},
    "light of text": {"light": ["0", "1"]},
    "light of booleans": {"light": [False, True]},
    "light of pairs": {"light": [[0, 1]]},
    "light null": {"light": None},
    "failures as text": {"failing_at_most": "5"},
    "failures true": {"failing_at_most": True},
    "failures null": {"failing_at_most": None},
    "one field more": {"rows": []},
}


@pytest.mark.parametrize("name", REFUTED)
def test_what_no_pool_can_be_is_refuted(name: str, model_path: str, tmp_path: Path) -> None:
    fields, message = REFUTED[name]
    verdict = audit(write(edited(**fields), tmp_path), model_path)
    assert (verdict.verdict, verdict.rule) == ("refuted", "range"), verdict
    assert verdict.where == f"q=4 m=4: {message}"


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_spelled_wrongly_is_refused(name: str, model_path: str, tmp_path: Path) -> None:
    verdict = audit(write(edited(**REFUSED[name]), tmp_path), model_path)
    assert (verdict.verdict, verdict.rule) == ("refused", "schema"), verdict


@pytest.mark.parametrize(
    "fields",
    [{"levels": 1}, {"levels": MAX_LEVELS}, {"light": [0, 3]}, {"light": []}, {"light": [0, 0, 2, 3]}],
)
def test_what_a_pool_can_be_is_recounted(fields: dict[str, Any], model_path: str, tmp_path: Path) -> None:
    """Whether the claim then holds or not."""
    assert audit(write(edited(**fields), tmp_path), model_path).rule in ("all", "pool")


@pytest.mark.parametrize("digits", [b"9007199254740993", b"1" * 5000, b"3.0", b"1e9", b"0x3"])
def test_levels_are_plain_integers(digits: bytes, model_path: str, tmp_path: Path) -> None:
    data = encode(CERT)
    assert data.count(b'"levels":3') == len(CERT.content.entries)
    verdict = audit(write(data.replace(b'"levels":3', b'"levels":' + digits, 1), tmp_path), model_path)
    assert (verdict.verdict, verdict.rule) == ("refused", "json")


@pytest.mark.parametrize("field", ["shift", "light", "multiplier", "levels", "failing_at_most"])
def test_a_field_of_a_pool_cannot_be_missing(field: str, model_path: str, tmp_path: Path) -> None:
    whole = edited()
    del whole["proof"]["content"][-1]["pool"][field]
    assert audit(write(whole, tmp_path), model_path).rule == "schema"


@pytest.mark.parametrize("kind", ["tails", "counts", "bounds", "sets"])
def test_a_pool_is_the_only_rule_its_class(kind: str, model_path: str, tmp_path: Path) -> None:
    whole = edited()
    whole["proof"]["content"][-1][kind] = {"shift": "0x0.0p+0", "rows": []}
    assert audit(write(whole, tmp_path), model_path).rule == "schema"


def test_a_pool_bounds_failures_from_above_alone(model_path: str, tmp_path: Path) -> None:
    whole = edited()
    whole["statement"]["correct_at_most"] = whole["statement"]["total"] - 1
    assert audit(write(whole, tmp_path), model_path).rule == "claim"
    whole["statement"]["correct_at_most"] += 1
    assert audit(write(whole, tmp_path), model_path).verdict == "verified"


def test_without_content_nothing_is_claimed_and_that_is_true(model_path: str, tmp_path: Path) -> None:
    whole = edited()
    whole["proof"]["content"], whole["statement"]["correct_at_least"] = [], 0
    verdict = audit(write(whole, tmp_path), model_path)
    assert (verdict.verdict, verdict.audited_correct) == ("verified", 0)


def test_pools_say_nothing_of_executions(model_path: str, tmp_path: Path) -> None:
    whole = edited()
    whole["statement"]["semantics"] = "float32"
    assert audit(write(whole, tmp_path), model_path).rule == "semantics"


def test_a_pool_counts_as_its_claim(model_path: str, tmp_path: Path) -> None:
    """More failures than sequences certify none; the claim of the file must be what the pools add up to."""
    whole = edited(failing_at_most=10**9)
    assert audit(write(whole, tmp_path), model_path).rule == "claim"
    whole["statement"]["correct_at_least"] -= POOLS[-1].correct_at_least(3)
    assert audit(write(whole, tmp_path), model_path).verdict == "verified"
