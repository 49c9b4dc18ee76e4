"""Certificates damaged and edited at random, half of them sealed again: nothing false passes or crashes.

What the auditor verifies is checked against the truth: the claim is what the content adds up to, no certified
sequence is misclassified, and no bound on failures is below their number.
"""

from __future__ import annotations

import copy
import json
import random
import re
import time
from collections import Counter
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from certkit.certificate import (
    Bound,
    BoundContent,
    Cell,
    Certificate,
    Count,
    CountContent,
    PoolContent,
    SetContent,
    Tail,
    TailContent,
    gap_cell,
    run_tokens,
)
from certkit.fileformat import CertificateError, decode, encode, seal, wide_int
from certkit.kernel import audit
from proofs.model import Model
from tests.kernel.test_truth import whole_content
from tests.support.certs import certificate, oracle_of, saved
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.pools import pools

MODEL = tiny_model(Kind.SKILLED, Sizes(4, 3), 1)
ODD = [
    0,
    1,
    -1,
    2,
    3,
    4,
    64,
    2**53,
    2**53 + 1,
    10**30,
    10**400,
    0.5,
    1e400,
    True,
    False,
    None,
    "",
    "x",
    "0",
    "1",
]
ODD += [
    "9" * 30,
    "9" * 5000,
    "real",
    "0x1.0p+0",
    "0x0.0p+0",
    "-0x1.0p+0",
    "0x1.0p-1074",
    "nan",
    [],
    [[]],
    {},
    {"q": 0},
]


@lru_cache(maxsize=1)
def failing() -> frozenset[tuple[int, ...]]:
    return frozenset(oracle_of(MODEL).failing())


def mixed(upper: bool = False) -> Certificate:
    """A true certificate with cells, boxes with exceptions, tails, pools, counts and bounds."""
    entries: list[Any] = []
    for i, entry in enumerate(whole_content(MODEL)):
        q, m, k = entry.q, entry.m, MODEL.n_ctx
        wrong = len(entry.boxes[0].exceptions)
        size = (m + 1) ** (k - 1) - (m ** (k - 1) if q < m else 0)
        xs = [x for x in range(MODEL.vocab) if x != m]
        if i % 6 == 1:
            entries.append(TailContent(q, m, 1.0, tuple(Tail(x, 0.0, size) for x in xs[:3])))
        elif i % 6 == 2:
            entries.append(CountContent(q, m, 1.0, tuple(Count(x, 1.0, 0.0, size, 0) for x in xs)))
        elif i % 6 == 3 and wrong == 0 and m > 0:
            cells = [gap_cell(m, 1, n) for n in range(k if q == m else k - 1)]
            entries.append(SetContent(q, m, tuple(cell for cell in cells if cell is not None)))
        elif i % 6 == 4:
            first, rest = Bound(tuple(xs[:1]), None, 1.0, 0.0, size), tuple(xs[1:])
            entries.append(BoundContent(q, m, 1.0, (first, Bound(rest, (xs[0], 64), 1.0, 0.0, size))))
        elif i % 6 == 5:
            entries.append(next(pool for pool in pools(MODEL) if (pool.q, pool.m) == (q, m)))
        else:
            entries.append(entry)
    return certificate(MODEL, entries, upper)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [path]
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(inner, (*path, key))
    return found


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def edit(whole: dict[str, Any], rng: random.Random) -> None:
    """One random change somewhere in the tree: replace, nudge, remove, repeat, exchange."""
    path = rng.choice([p for p in places(whole) if p])
    parent, key = at(whole, path[:-1]), path[-1]
    old = parent[key]
    kind = rng.randrange(6)
    if kind == 0:
        parent[key] = copy.deepcopy(rng.choice(ODD))
    elif kind == 1 and type(old) is int:
        parent[key] = old + rng.choice([-1, 1, 2**31])
    elif kind == 2:
        del parent[key]
    elif kind == 3 and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(old))
    elif kind == 4:
        parent[key] = copy.deepcopy(at(whole, rng.choice(places(whole))))
    elif isinstance(parent, list):
        parent[key] = parent[other := rng.randrange(len(parent))]
        parent[other] = old


def resealed(whole: dict[str, Any]) -> bytes | None:
    """Both digests made right, if the tree still has what they are made of and JSON can spell it."""
    try:
        return seal(whole)
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def fitting(whole: dict[str, Any]) -> bytes | None:
    """The same with a claim that is what the content adds up to, so that its truth decides."""
    sealed = resealed(whole)
    for _ in range(2):
        try:
            decode(sealed or b"")
        except CertificateError as error:
            found = re.search(r"(correct_at_\w+)=.* sums to (-?\d+)", str(error))
            if found is not None:
                whole["statement"][found[1]] = wide_int(int(found[2]))
                sealed = resealed(whole)
    return sealed


def variant(data: bytes, rng: random.Random) -> bytes:
    """One damaged or edited file."""
    if rng.random() < 0.6:
        whole = json.loads(data)
        for _ in range(rng.randint(1, 3)):
            edit(whole, rng)
        sealed = fitting(whole) if rng.random() < 0.7 else resealed(whole)
        if sealed is not None:
            return sealed
    a, b = sorted(rng.sample(range(len(data)), 2))
    flipped = data[:a] + bytes([data[a] ^ 1 << rng.randrange(8)]) + data[a + 1 :]
    return rng.choice(
        [flipped, data[:a], data[:a] + data[b:], data[:b] + data[a:], data[:a] + data[b:] + data[a:b]]
    )


def check_truth(cert: Certificate, model: Model) -> None:
    """What an accepted certificate says is so."""
    assert cert.claim.model_sha256 == model.sha256
    k = model.n_ctx
    total = 0
    for entry in cert.content.entries:
        q, m = entry.q, entry.m
        wrong = {s for s in failing() if s[-1] == q and max(s) == m}
        if isinstance(entry, SetContent):
            members = [s for s in product(range(m + 1), repeat=k - 1) if max(*s, q) == m and inside(entry, s)]
            assert wrong.isdisjoint((*s, q) for s in members)
            total += len(members)
        else:
            most = claimed_failures(entry)
            assert len(wrong) <= most
            size = (m + 1) ** (k - 1) - (m ** (k - 1) if q < m else 0)
            total += max(0, size - most)
    assert cert.claim.correct_at_least == total <= model.vocab**k - len(failing())
    if cert.claim.correct_at_most is not None:
        assert cert.claim.correct_at_most >= model.vocab**k - len(failing())


def claimed_failures(entry: TailContent | PoolContent | CountContent | BoundContent) -> int:
    if isinstance(entry, PoolContent):
        return entry.failing_at_most
    if isinstance(entry, BoundContent):
        return sum(row.failing_at_most for row in entry.bounds)
    rows = entry.tails if isinstance(entry, TailContent) else entry.counts
    return sum(row.failing_at_most for row in rows)


def inside(entry: SetContent, sequence: tuple[int, ...]) -> bool:
    for cell in entry.cells:
        values = set(run_tokens(cell.allowed))
        if sum(t != entry.m for t in sequence) == cell.n and all(
            t == entry.m or t in values for t in sequence
        ):
            return True
    return any(
        sequence in box and sequence not in box.exceptions and (not box.contains_max or entry.m in sequence)
        for box in entry.boxes
    )


def fuzz(count: int, seed: int, folder: Path) -> Counter[str]:
    rng, originals = random.Random(seed), [encode(mixed()), encode(mixed(upper=True))]
    model, path = saved(MODEL, folder), folder / "fuzzed.cert"
    seen: Counter[str] = Counter()
    for _ in range(count):
        damaged = variant(rng.choice(originals), rng)
        path.write_bytes(damaged)
        start = time.process_time()
        verdict = audit(str(path), model)
        assert time.process_time() - start < 5, verdict
        seen[verdict.verdict] += 1
        if verdict.verdict == "verified":
            check_truth(decode(damaged), MODEL)
        elif verdict.verdict == "refused":
            with pytest.raises(CertificateError):
                decode(damaged)
    return seen


def test_the_original_is_verified_and_true(tmp_path: Path) -> None:
    mixed().save(tmp_path / "x.cert")
    assert audit(str(tmp_path / "x.cert"), saved(MODEL, tmp_path)).verdict == "verified"
    check_truth(mixed(), MODEL)
    entries = mixed().content.entries
    assert any(isinstance(e, SetContent) and Cell(0, ()) in e.cells for e in entries)
    for kind in (SetContent, TailContent, PoolContent, CountContent, BoundContent):
        assert any(isinstance(e, kind) for e in entries)
    (pool,) = (e for e in entries if isinstance(e, PoolContent))
    assert pool.light
    assert pool.failing_at_most > 0


def test_random_variants(tmp_path: Path) -> None:
    seen = fuzz(500, 7, tmp_path)
    assert set(seen) >= {"verified", "refuted", "refused"}, seen


@pytest.mark.extended
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_thousand_variants(seed: int, tmp_path: Path) -> None:
    fuzz(10_000, 1000 + seed, tmp_path)
