"""The certificate file: round trips, one spelling, refusals, and agreement with the auditor's own reader."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certkit.certificate import (
    Bound,
    BoundContent,
    Box,
    Cell,
    Certificate,
    CertifiedSet,
    Claim,
    Content,
    Count,
    CountContent,
    PoolContent,
    SetContent,
    Tail,
    TailContent,
    full_content,
    round_up_32,
    runs_from_tokens,
)
from certkit.fileformat import CertificateError, canonical, decode, dyadic, encode, load, seal, wide_int
from certkit.kernel.verdict import Finding
from tests.support.rows import read_certificate
from tests.tasks.support import tasks

finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
failing = st.integers(0, 2**90)


@st.composite
def bounds(draw: st.DrawFn, xs: list[int]) -> tuple[Bound, ...]:
    """Groups of these outputs in any order, some of which meet an earlier one."""
    left, done, out = draw(st.permutations(xs)), list[int](), list[Bound]()
    while left:
        size = draw(st.integers(1, len(left)))
        group, left = tuple(sorted(left[:size])), left[size:]
        met = st.tuples(st.sampled_from(done), st.integers(1, 500)) if done else st.nothing()
        meet, most = draw(st.none() | met), draw(failing)
        least = draw(st.integers(0, most)) if size == 1 and not meet else 0
        out.append(Bound(group, meet, draw(positive), draw(finite), most, least))
        done += group
    return tuple(out)


@st.composite
def entries(draw: st.DrawFn, q: int, m: int, k: int, vocab: int) -> Content:
    wrong = [x for x in range(vocab) if x != m]
    xs = sorted(draw(st.sets(st.sampled_from(wrong)))) if wrong else []
    kind = draw(st.sampled_from(["sets", "tails", "pool", "counts", "bounds"]))
    if kind == "tails":
        multipliers = st.floats(min_value=0, allow_infinity=False)
        tails = tuple(Tail(x, draw(multipliers), round_up_32(draw(failing))) for x in xs)
        return TailContent(q, m, draw(finite), tails)
    if kind == "pool":
        light = runs_from_tokens(draw(st.sets(st.integers(0, m - 1)))) if m else ()
        multiplier, levels = draw(st.floats(min_value=0, allow_infinity=False)), draw(st.integers(1, 64))
        return PoolContent(q, m, draw(finite), light, multiplier, levels, round_up_32(draw(failing)))
    if kind == "counts":
        rows = [(x, draw(positive), draw(finite), sorted([draw(failing), draw(failing)])) for x in xs]
        return CountContent(q, m, draw(finite), tuple(Count(x, w, o, b, a) for x, w, o, (a, b) in rows))
    if kind == "bounds":
        return BoundContent(q, m, draw(finite), draw(bounds(xs)))
    if draw(st.booleans()) and m > 0:
        allowed = runs_from_tokens(draw(st.sets(st.integers(0, m - 1), min_size=1)))
        return SetContent(q, m, (Cell(1, allowed),) if k > 1 + (q < m) else (Cell(0, ()),))
    rows = draw(st.sets(st.tuples(*[st.integers(0, m)] * (k - 1)), max_size=4))
    return full_content(q, m, k, tuple(sorted(row for row in rows if q == m or m in row)))


@st.composite
def certificates(draw: st.DrawFn) -> Certificate:
    k, vocab = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    classes = [(q, m) for q in range(vocab) for m in range(q, vocab) if k > 1 or q == m]
    chosen = sorted(draw(st.sets(st.sampled_from(classes))))
    content = CertifiedSet(k, vocab, tuple(draw(entries(q, m, k, vocab)) for q, m in chosen))
    least, most = content.correct_at_least, content.correct_at_most
    upper = most if draw(st.booleans()) and least <= most else None
    digest = draw(st.sampled_from(["0" * 64, "a1" * 32]))
    claim = Claim(k, vocab, digest, least, upper, task=draw(tasks(vocab)))
    json = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    )
    remarks = draw(st.dictionaries(st.text(max_size=4), json, max_size=3))
    parameters = draw(st.dictionaries(st.text(max_size=4), json, max_size=2))
    return Certificate(claim, "drawn", 1, content, parameters, draw(json), remarks)


@given(certificates())
def test_writing_and_reading_gives_the_same_file(cert: Certificate) -> None:
    data = encode(cert)
    back = decode(data)
    assert encode(back) == data
    assert (back.claim, back.content, back.strategy, back.version) == (
        cert.claim,
        cert.content,
        cert.strategy,
        cert.version,
    )


@given(cert=certificates())
def test_the_auditors_reader_reads_the_same(
    cert: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "drawn.cert"
    path.write_bytes(encode(cert))
    statement, content = read_certificate(str(path))
    assert (statement.k, statement.vocab, statement.model) == (
        cert.claim.k,
        cert.claim.vocab,
        cert.claim.model_sha256,
    )
    task = cert.claim.task
    assert statement.task == (
        "max-of-k" if task.is_max_of_k else {"order": list(task.order), "labels": list(task.labels)}
    )
    assert statement.correct_at_least == cert.claim.correct_at_least
    assert statement.correct_at_most == cert.claim.correct_at_most
    assert [(e.q, e.m) for e in content] == [(e.q, e.m) for e in cert.content.entries]
    for read, written in zip(content, cert.content.entries, strict=True):
        found = read.content
        if isinstance(written, SetContent):
            assert [tuple(c.values()) for c in found["cells"]] == [(c.n, c.allowed) for c in written.cells]
            assert [tuple(b.values()) for b in found["boxes"]] == [
                (b.positions, b.contains_max, b.exceptions) for b in written.boxes
            ]
            continue
        assert found["shift"] == written.shift
        if isinstance(written, TailContent):
            assert list(found["rows"]) == [(t.x, t.multiplier, t.failing_at_most) for t in written.tails]
        elif isinstance(written, PoolContent):
            claim = (written.light, written.multiplier, written.levels, written.shift)
            assert tuple(found.values()) == (*claim, written.failing_at_most)
        elif isinstance(written, BoundContent):
            assert list(found["rows"]) == [
                (b.outputs, b.meet or (), b.width, b.offset, b.failing_at_most, b.failing_at_least)
                for b in written.bounds
            ]
        else:
            assert list(found["rows"]) == [
                (c.x, c.width, c.offset, c.failing_at_most, c.failing_at_least) for c in written.counts
            ]


@given(finite)
def test_dyadics_are_exact_and_short(value: float) -> None:
    text = dyadic(value)
    assert float.fromhex(text) == value
    assert dyadic(float.fromhex(text)) == text
    assert text != "-0x0.0p+0"


@given(st.integers())
def test_wide_integers(value: int) -> None:
    written = wide_int(value)
    assert int(written) == value
    assert isinstance(written, str) == (abs(value) > 2**53)


BOXES = (Box(((0, 2), (1, 2)), True, ((0, 2), (1, 2))), Box(((2, 2), (0, 0))))
SAMPLE = CertifiedSet(
    3,
    4,
    (
        SetContent(0, 1, (Cell(1, (0, 0)), Cell(0, ()))),
        SetContent(0, 2, (), BOXES),
        TailContent(1, 3, -3.5, (Tail(0, 0.25, 3), Tail(2, 0.0, 2**40))),
        CountContent(2, 3, 12.0, (Count(1, 0.125, -0.5, 2**60, 1),)),
    ),
)
CERT = Certificate(
    Claim(3, 4, "0f" * 32, SAMPLE.correct_at_least), "sample", 3, SAMPLE, {"n": 1}, (1, "a"), {}
)


def _kernel_accepts(data: bytes, folder: Path) -> bool:
    (folder / "x").write_bytes(data)
    try:
        read_certificate(str(folder / "x"))
    except Finding:
        return False
    return True


def _library_accepts(data: bytes) -> bool:
    try:
        decode(data)
    except CertificateError:
        return False
    return True


def test_random_damage_is_refused_by_both_readers(tmp_path: Path) -> None:
    """Bytes changed, removed, doubled, exchanged: only the file itself is accepted, and nothing crashes."""
    rng = random.Random(3)
    data = encode(CERT)
    for _ in range(600):
        a, b = sorted(rng.sample(range(len(data)), 2))
        damaged = rng.choice(
            [
                data[:a] + bytes([rng.randrange(256)]) + data[a + 1 :],
                data[:a] + data[b:],
                data[:b] + data[a:],
                data[:a] + data[b:] + data[a:b],
                data[:a] + bytes([data[a] ^ 1 << rng.randrange(8)]) + data[a + 1 :],
            ]
        )
        if damaged != data:
            assert not _library_accepts(damaged)
            assert not _kernel_accepts(damaged, tmp_path)


def test_the_library_refuses_what_the_auditor_cannot_read(tmp_path: Path) -> None:
    """Whatever the library reads, the auditor reads too (the auditor checks ranges later)."""
    from tests.kernel.test_refusals import FALSE, UNREADABLE, edited

    for change in UNREADABLE.values():
        assert not _library_accepts(seal(edited(change)))
    for change, _ in FALSE.values():
        assert _kernel_accepts(seal(edited(change)), tmp_path)


CHANGED: dict[str, tuple[Callable[[Any], object], str]] = {
    "another schema": (lambda d: d.update(certkit=2), "certkit=2: this version reads schema 1"),
    "schema a bool": (lambda d: d.update(certkit=True), "certkit=True"),
    "total": (lambda d: d["statement"].update(total=65), "total=65 is not vocab^k=64"),
    "tokens beyond memory": (lambda d: d["statement"].update(vocab=2**53), "vocab=9007199254740992"),
    "positions beyond counting": (lambda d: d["statement"].update(k=2**53), "k=9007199254740992"),
    "content of two kinds": (lambda d: d["proof"]["content"][2].update(counts={}), "exactly one of"),
    "a row with more": (
        lambda d: d["proof"]["content"][2]["tails"]["rows"][0].append(0),
        "must be [x, multiplier, failing_at_most]",
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_is_wrong_is_named_even_when_sealed(name: str) -> None:
    change, message = CHANGED[name]
    document = json.loads(encode(CERT))
    change(document)
    with pytest.raises(CertificateError) as caught:
        decode(seal(document))
    assert message in str(caught.value)


def test_other_spellings_are_named() -> None:
    data = encode(CERT)
    for other, message in (
        (data + b"\n", "canonical form"),
        (data.replace(b":", b": ", 1), "canonical form"),
        (data.replace(b'"certkit":1', b'"certkit":1,"certkit":1'), "duplicate field"),
        (data.replace(b'"certkit":1', b'"certkit":1.0'), "1.0: a certificate holds no decimal numbers"),
        (data.replace(b'"certkit":1', b'"certkit":NaN'), "NaN: a certificate holds no decimal numbers"),
        (data.replace(b'"certkit":1', b'"certkit":' + b"9" * 18), "beyond 2^53 are strings"),
        (data.replace(b"certkit", b"certk\xc3\xaft"), "not ASCII"),
    ):
        with pytest.raises(CertificateError, match=re.escape(message)):
            decode(other)


def test_a_file_may_be_as_large_as_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, size = tmp_path / "x.cert", len(encode(CERT))
    CERT.save(path)
    monkeypatch.setattr("certkit.fileformat.MAX_BYTES", size)
    assert load(path).content == SAMPLE
    monkeypatch.setattr("certkit.fileformat.MAX_BYTES", size - 1)
    with pytest.raises(CertificateError, match=f"{size} bytes is more than the {size - 1}"):
        load(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"\xff",
        b"[]\n",
        b"{}\n",
        b"1\n",
        b"[" * 10**6,
        b'{"a":' * 10**5,
        b'{"certkit":1}\n',
        b"NaN\n",
    ],
    ids=range(10),
)
def test_what_is_no_certificate_gives_one_clear_line(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.cert").write_bytes(data)
    with pytest.raises(CertificateError) as caught:
        load(tmp_path / "x.cert")
    assert str(caught.value).startswith(str(tmp_path / "x.cert"))
    assert "\n" not in str(caught.value)


def test_saving_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.cert"
    CERT.save(path)
    assert Certificate.load(path).content == SAMPLE
    assert [p.name for p in path.parent.iterdir()] == ["x.cert"]
    with pytest.raises(FileNotFoundError):
        Certificate.load(tmp_path / "absent")


def test_equal_certificates_are_equal_bytes() -> None:
    other = Certificate(
        CERT.claim, "sample", 3, CertifiedSet(3, 4, SAMPLE.entries), dict(reversed([("n", 1)])), [1, "a"], {}
    )
    assert encode(other) == encode(CERT)


@pytest.mark.parametrize("bad", [1.5, 2**53 + 1, {1: 2}, {"a": {1, 2}}, b"x", [float("nan")]], ids=str)
def test_what_json_would_spell_in_two_ways_is_not_written(bad: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        canonical(bad)
