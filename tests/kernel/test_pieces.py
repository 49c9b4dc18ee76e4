"""What the auditor counts and decides, piece by piece, against the definitions one by one."""

from __future__ import annotations

import hashlib
import random
import struct
from fractions import Fraction
from itertools import product
from pathlib import Path

import pytest
from flint import arb

from certkit.certificate import Bound, BoundContent, Tail, TailContent
from certkit.kernel import verdict
from certkit.kernel.audit import account
from certkit.kernel.bins import LARGEST
from certkit.kernel.model import Model
from certkit.kernel.reader import canonical, dyadic, parse_json, shaped, wide
from certkit.kernel.sets import Terms, fails, plainly_correct
from certkit.kernel.subjects import Task, renamed
from certkit.kernel.verdict import Finding, Verdict
from certkit.kernel.weights import Matrix, Weights, read_weights
from tests.support.certs import certificate, document, saved, write
from tests.support.models import Kind, Sizes, tiny_model
from tests.support.rows import Box, Cell, Row, decide, never_fails, read_certificate, rule

# ------------------------------------------------------------------------------------------- content


def _sequences(part: Cell | Box, m: int, others: int) -> set[tuple[int, ...]]:
    def has(runs: tuple[int, ...], t: int) -> bool:
        return any(a <= t <= b for a, b in zip(runs[::2], runs[1::2], strict=True))

    every = product(range(m + 1), repeat=others)
    if isinstance(part, Cell):
        return {
            s
            for s in every
            if all(t == m or has(part.allowed, t) for t in s) and sum(t != m for t in s) == part.n
        }
    return {s for s in every if all(map(has, part.positions, s)) and (m in s or not part.contains_max)}


def _runs(rng: random.Random, most: int) -> tuple[int, ...]:
    chosen = [t for t in range(most + 1) if rng.random() < 0.5]
    runs: list[int] = []
    for t in chosen:
        if runs and runs[-1] == t - 1:
            runs[-1] = t
        else:
            runs += [t, t]
    return tuple(runs)


def _part(rng: random.Random, q: int, m: int, others: int) -> Cell | Box:
    if rng.random() < 0.5:
        allowed = _runs(rng, m - 1)
        n = rng.randint(1, others - (q < m)) if allowed and others > (q < m) else 0
        return Cell(n, allowed if n else ())
    positions = tuple(_runs(rng, m) or (m, m) for _ in range(others))
    return Box(positions, q < m or rng.random() < 0.5, ())


@pytest.mark.parametrize("seed", range(20))
def test_sets_are_called_disjoint_and_counted_as_they_are(seed: int) -> None:
    """Against the definition: all sequences of all sets, one by one."""
    rng, outcomes = random.Random(seed), set()
    for _ in range(150):
        m, others = rng.randint(1, 5), rng.randint(1, 3)
        q = rng.randint(0, m)
        parts = [_part(rng, q, m, others) for _ in range(rng.randint(1, 4))]
        sets = [_sequences(part, m, others) for part in parts]
        cells = tuple(part for part in parts if isinstance(part, Cell))
        boxes = tuple(part for part in parts if isinstance(part, Box))
        entry = rule(q, m, "sets", cells, boxes)
        overlap = sum(map(len, sets)) > len(set().union(*sets))
        try:
            counted, found = account(entry, others + 1, m + 1), ""
        except Finding as finding:
            found = finding.rule
        if found == "range":  # a box without sequences, or one that may leave the class
            assert not all(sets) or (q < m and not all(m in s for one in sets for s in one))
            continue
        assert (found == "overlap") == overlap, entry
        outcomes.add(found)
        if not overlap:
            assert counted == (sum(map(len, sets)), 0)
    assert outcomes == {"", "overlap"}


def test_rows_at_the_edge_of_what_is_allowed() -> None:
    legal = (
        Row((0,), (0.0,), 0, 0),
        Row((0,), (0.5,), (2**32 - 1) * 2**10, 0),
        Row((0,), (0.5,), 2**90, 0),
        Row((0,), (0.5, -1.0), 7, 7),
        Row((0,), (5e-324, 0.0), 2**32 + 1, 1),
        Row((0, 1, 3), (0.5, 0.0), 2**32 + 1, 0),
    )
    for row in legal:
        kind = "tails" if len(row.numbers) == 1 else "counts"
        if kind == "counts":
            account(rule(4, 4, "bounds", rows=(row, Row((2,), (0.5, 0.0), 1, 0, (0, 1)))), 3, 5)
        if len(row.outputs) == 1:
            account(rule(4, 4, kind, rows=(row, row._replace(outputs=(3,)))), 3, 5)
    for most in (2**32 + 1, (2**33 - 1) * 2**10, 2**32 + 2**40):
        with pytest.raises(Finding, match="32 bits"):
            account(rule(4, 4, "tails", rows=(Row((0,), (0.5,), most * 2 + 1, 0),)), 3, 5)


@pytest.mark.parametrize("kind", ["tails", "counts", "bounds"])
def test_no_row_is_about_a_token_below_0(kind: str) -> None:
    """Python would take −1 for the last token."""
    numbers = (0.5,) if kind == "tails" else (0.5, 0.0)
    first, below = Row((0,), numbers, 1, 0), Row((-1,), numbers, 1, 0)
    wrong = [(below,), (below, first), (first, below)]
    wrong += [(Row((-1, 0), numbers, 1, 0),)] if kind == "bounds" else []
    for rows in wrong:
        with pytest.raises(Finding, match="no token") as caught:
            account(rule(4, 4, kind, rows=rows), 3, 5)
        assert (caught.value.verdict, caught.value.rule) == ("refuted", "range")


def test_bounds_come_in_any_order_and_other_rows_do_not() -> None:
    rows = tuple(Row((x,), (0.5, 0.0), 1, 0) for x in (2, 0, 3, 1))
    account(rule(4, 4, "bounds", rows=rows), 3, 5)
    for falling in (rows, rows[:2], rows[2:], rows[:1] * 2):
        with pytest.raises(Finding, match=f"x={falling[1].outputs[0]} is m, no token, out of order"):
            account(rule(4, 4, "counts", rows=falling), 3, 5)
    for rising in (rows[1:3], rows[3::-3]):
        assert account(rule(4, 4, "counts", rows=rising), 3, 5) == (25 - 2, 0)
    for kind in ("counts", "bounds"):
        assert account(rule(4, 4, kind), 3, 5) == (25, 0)


def test_with_one_position_the_query_is_the_maximum() -> None:
    account(rule(1, 1, "sets", (Cell(0, ()),)), 1, 2)
    account(rule(0, 1, "sets"), 2, 2)
    with pytest.raises(Finding, match="no such class"):
        account(rule(0, 1, "sets"), 1, 2)


def test_every_run_of_a_set_is_within_its_limit() -> None:
    """The last run, not only the first: tokens above m would be counted in a class they are not in."""
    for sets in (
        ((Cell(1, (0, 0, 3, 3)),), ()),
        ((Cell(1, (0, 0, 2, 3)),), ()),
        ((), (Box(((0, 0, 4, 4), (3, 3)), False, ()),)),
        ((), (Box(((3, 3), (0, 0, 2, 4)), False, ()),)),
    ):
        with pytest.raises(Finding, match="tokens") as caught:
            account(rule(3, 3, "sets", *sets), 3, 5)
        assert (caught.value.verdict, caught.value.rule) == ("refuted", "range")


def test_as_many_sets_as_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = tuple(Cell(1, (2 * i, 2 * i)) for i in range(4))
    boxes = tuple(Box(((i, i), (9, 9)), False, ()) for i in range(10, 14))
    for sets in ((cells, ()), ((), boxes), (cells, boxes)):
        entry, limit = rule(20, 20, "sets", *sets), sum(map(len, sets))
        monkeypatch.setattr("certkit.kernel.counting.MAX_SETS", limit)
        account(entry, 3, 21)
        monkeypatch.setattr("certkit.kernel.counting.MAX_SETS", limit - 1)
        with pytest.raises(Finding, match=f"more than {limit - 1} sets") as caught:
            account(entry, 3, 21)
        assert (caught.value.verdict, caught.value.rule) == ("refuted", "range")


def test_rows_add_up() -> None:
    rows = (Row((0,), (1.0, 0.0), 3), Row((1,), (1.0, 0.0), 4, 2), Row((2,), (1.0, 0.0), 1, 1))
    assert account(rule(3, 3, "bounds", rows=rows), 3, 4) == (16 - 8, 2)
    assert account(rule(0, 3, "bounds", rows=rows), 3, 4) == (0, 2)  # 16 − 9 − 8 < 0
    assert account(rule(0, 3, "tails", rows=(Row((0,), (1.0,), 3),)), 3, 4) == (16 - 9 - 3, 0)
    assert account(rule(0, 3, "tails"), 3, 4) == (7, 0)


# -------------------------------------------------------------------------------------- quick, ties


def flat(outputs: list[list[int]], k: int = 3) -> Model:
    """Equal scores; `outputs[t][x]` is what token t adds to output x from each position, and as the query."""
    vocab = len(outputs)
    one = [[int(i == j) for j in range(vocab)] for i in range(vocab)]
    unit, zero = Matrix(one, 0), Matrix([[0] * vocab] * vocab, 0)
    names = {"W_E": unit, "W_pos": Matrix([[0] * vocab] * k, 0), "W_U": Matrix(outputs, 0)}
    return Model(Weights(names | {"W_Q": zero, "W_K": zero, "W_V": unit, "W_O": unit}, ""))


def test_numbers_of_sequences_can_be_printed() -> None:
    """Python writes integers of up to 4300 digits; the number of sequences has at most 3914."""
    for vocab, k in ((1, 13_001), (2, 6_501)):
        with pytest.raises(Finding) as caught:
            flat([[0] * vocab] * vocab, k)
        assert (caught.value.verdict, caught.value.rule) == ("refused", "model")
        assert caught.value.where == "more than 10^3900 sequences"
        assert flat([[0] * vocab] * vocab, k - 1).k == k - 1


def test_the_quick_bound_is_the_worst_case_where_positions_are_equal() -> None:
    """With equal positions nothing is given away, so it passes exactly what is right."""
    for a, b, c in product((-5, -1, 0, 1, 5), repeat=3):
        small = flat([[a, 0, 0], [b, 0, 0], [c, 0, 0]])
        gains = [a, b, c]
        for q, m in ((0, 2), (1, 2), (2, 2), (0, 1), (1, 1)):
            members = [s for s in product(range(m + 1), repeat=2) if q == m or m in s]
            # the direct path of the query counts at each of the three positions
            worst = max(sum(gains[t] for t in (*s, q)) + 3 * gains[q] for s in members)
            entry = rule(q, m, "sets")
            assert plainly_correct(small, entry, 0) == (worst < 0)
            if worst < 0:
                assert never_fails(small, entry, 0) == 64
            else:
                with pytest.raises(Finding) as caught:
                    never_fails(small, entry, 0)
                assert (caught.value.verdict, caught.value.rule) == ("refuted", "box")
                found = caught.value.counterexample
                assert (found or ())[-1:] == (q,)
                assert max(found) == m


def test_a_tie_fails_and_a_sum_below_zero_does_not() -> None:
    small = flat([[-4, 0, 0], [1, 0, 0], [1, 0, 0]])
    entry = rule(0, 2, "sets")
    view = Terms(small, entry, 0, 64)
    assert not fails(small, view, entry, (2, 1), 0)
    tied = flat([[0, 0, 0], [-1, 0, 0], [1, 0, 0]])
    view = Terms(tied, entry, 0, 64)
    assert fails(tied, view, entry, (2, 1), 0)
    assert fails(tied, view, entry, (2, 0), 0)
    assert not fails(tied, view, entry, (1, 1), 0)
    tied.executed = True
    assert fails(tied, view, entry, (2, 1), 0), "a sum that is certainly not below 0"
    tied.executed = False
    view.low = [[number - 1 for number in row] for row in view.low]
    assert fails(tied, view, entry, (2, 1), 0), "a tie is recognised whatever the enclosures"
    tied.executed = True
    assert not fails(tied, view, entry, (2, 1), 0), "but not in executions"


def slanted(outputs: list[list[int]], token: list[int], place: list[int]) -> Model:
    """The same, with the score ``token[t] + place[p]`` for every query."""
    small = flat(outputs, k=len(place))
    small.token, small.place = [token] * len(token), [place] * len(token)
    return small


def test_only_terms_with_equal_scores_cancel_exactly() -> None:
    """Gains at three positions that add up to 0: a tie if their scores are equal, and else not."""
    entry = rule(0, 2, "sets")
    cancelling = slanted([[0, 0, 0], [-1, 0, 0], [1, 0, 0]], [0, 3, 2], [0, 1, 5])
    view = Terms(cancelling, entry, 0, 64)
    # scores 3 + 0 and 2 + 1 are equal, 2 + 0 and 3 + 1 are not
    wider = [[number - 1 for number in row] for row in view.low]
    view.low = wider
    assert fails(cancelling, view, entry, (1, 2), 0)
    assert not fails(cancelling, view, entry, (2, 1), 0)
    moved = slanted([[0, 0, 0], [-3, 0, 0], [1, 0, 0]], [0, 3, 2], [0, 1, 5])
    moved.pvou = [[0, 2, 0], [0, 0, 0], [0, 0, 0]]
    view = Terms(moved, entry, 0, 64)
    view.low = wider
    assert fails(moved, view, entry, (1, 2), 0), "−3 from the token, 1 and 2 more from the second position"
    assert not fails(moved, view, entry, (2, 1), 0)


def test_decide_names_the_class_the_token_and_the_sequence() -> None:
    small = flat([[1, -9, 0], [1, -9, 0], [9, -9, 0]])
    box = Box(((0, 2), (2, 2)), False, ())
    cell = Cell(1, (0, 1))
    for part, name in ((box, "box"), (cell, "cell")):
        entry = rule(0, 2, "sets", *(((part,), ()) if name == "cell" else ((), (part,))))
        finding = decide(small, entry, False).finding
        assert finding is not None
        assert (finding.verdict, finding.rule) == ("refuted", name)
        assert finding.where == "q=0 m=2: x=0 is not beaten"
        assert finding.counterexample is None or sum(finding.counterexample) in (3, 4)
    listed = Box(((0, 2), (2, 2)), False, ((0, 2), (1, 2)))
    finding = decide(small, rule(0, 2, "sets", (), (listed,)), True).finding
    assert finding is not None
    assert finding.counterexample == (2, 2, 0)


# ----------------------------------------------------------------------------------- small readers


def test_numbers_have_one_spelling() -> None:
    assert shaped("0x1.8p+3", dyadic, "n") == 12.0
    assert shaped("-0x1.8p-3", dyadic, "n") == -0.1875
    assert shaped("0x0.0p+0", dyadic, "n") == 0.0
    assert shaped("0x0.0000000000001p-1022", dyadic, "n") == 5e-324
    assert shaped("0x1.fffffffffffffp+1023", dyadic, "n") == 1.7976931348623157e308
    assert shaped(2**53, wide, "n") == 2**53
    assert shaped(str(2**53 + 1), wide, "n") == 2**53 + 1
    assert shaped("9" * 4000, wide, "n") == int("9" * 4000)
    integers: list[object] = [str(2**53), "9" * 4001, "+" + "9" * 20, "9" * 20 + " ", "", None, [1]]
    for value in integers:
        with pytest.raises(Finding, match="n must be an integer"):
            shaped(value, wide, "n")
    for text in ("0x1.8p+3 ", "0x1.80p+3", "0x1.8p3", "-0x0.0p+0", "0x1.00000000000001p+0"):
        with pytest.raises(Finding, match="n is not in canonical form") as caught:
            shaped(text, dyadic, "n")
        assert caught.value.rule == "schema"
    floats: list[object] = ["x", "0x1.0p+5000", None, 3]
    for value in floats:
        with pytest.raises(Finding, match=r"n must be a dyadic such as 0x1\.8p\+3") as caught:
            shaped(value, dyadic, "n")
        assert caught.value.rule == "schema"
    for number in (2**53, -(2**53)):
        assert parse_json(str(number).encode(), "it") == number
        with pytest.raises(Finding, match="no integer up to 2"):
            parse_json(str(number + (1 if number > 0 else -1)).encode(), "it")


def test_rows_are_read_with_their_shift(tmp_path: Path) -> None:
    content = BoundContent(0, 2, -1.5, (Bound((0, 1), None, 0.25, 2.0, 7), Bound((3,), (1, 64), 1.0, 0.0, 5)))
    cert = certificate(tiny_model(Kind.SKILLED, Sizes(4, 3), 2), [content])
    _, (entry,) = read_certificate(write(document(cert), tmp_path))
    rows = (Row((0, 1), (0.25, 2.0), 7, 0), Row((3,), (1.0, 0.0), 5, 0, (1, 64)))
    assert entry == rule(0, 2, "bounds", shift=-1.5, rows=rows)
    tails = TailContent(0, 2, -0.75, (Tail(0, 0.5, 3), Tail(1, 0.25, 4)))
    whole = document(certificate(tiny_model(Kind.SKILLED, Sizes(4, 3), 2), [tails]))
    _, (entry,) = read_certificate(write(whole, tmp_path))
    rows = (Row((0,), (0.5,), 3), Row((1,), (0.25,), 4))
    assert entry == rule(0, 2, "tails", shift=-0.75, rows=rows)
    del whole["proof"]["content"][0]["tails"]["rows"][1][2]
    with pytest.raises(Finding) as caught:
        read_certificate(write(whole, tmp_path))
    assert (caught.value.verdict, caught.value.rule) == ("refused", "schema")
    assert caught.value.where == "content[0].tails.rows[1] must be a list of 3"


def test_the_digest_of_proof_and_statement_is_checked_by_itself(tmp_path: Path) -> None:
    whole = document(certificate(tiny_model(Kind.SKILLED, Sizes(4, 3), 2), []))
    whole["digest"] = "0" * 64
    body = {name: value for name, value in whole.items() if name != "file_digest"}
    whole["file_digest"] = hashlib.sha256(canonical(body)).hexdigest()
    path = write(canonical(whole) + b"\n", tmp_path)
    with pytest.raises(Finding) as caught:
        read_certificate(path)
    found = caught.value
    assert (found.verdict, found.rule) == ("refused", "digest")
    assert found.where == "the proof or statement was changed: digest does not match"


def test_a_task_renames_tokens_and_outputs() -> None:
    embed, unembed = Matrix([[10], [11], [12]], 0), Matrix([[20, 21, 22], [30, 31, 32]], 1)
    weights = Weights({"W_E": embed, "W_U": unembed, "W_Q": Matrix([[1]], 0)}, "digest")
    found = renamed(weights, Task((2, 0, 1), (1, 2, 0)))
    assert found.matrices["W_E"] == Matrix([[12], [10], [11]], 0)
    assert found.matrices["W_U"] == Matrix([[20, 21, 22], [30, 31, 32]], 1)
    assert found.matrices["W_Q"] is weights.matrices["W_Q"]
    assert found.sha256 == "digest"
    turned = renamed(weights, Task((2, 1, 0), (0, 1, 2)))
    assert turned.matrices["W_U"].rows == [[22, 21, 20], [32, 31, 30]]


def test_the_digest_of_the_auditor_is_of_its_files() -> None:
    room, digest = Path(verdict.__file__).parent, hashlib.sha256()
    for name in sorted(path.name for path in room.iterdir() if path.suffix == ".py"):
        digest.update(name.encode() + b"\0" + (room / name).read_bytes() + b"\0")
    assert verdict.kernel_sha256() == digest.hexdigest()


def test_verdicts_as_json_spell_wide_integers_as_strings() -> None:
    fields = ("verified", "all", "", 2**53, 2**53 + 1, (1, 2), 64, 0.5, (1, 0), "ab")
    found = Verdict(*fields).as_json()
    assert found["audited_correct"] == 2**53
    assert found["total"] == "9007199254740993"
    assert "task" not in found
    assert Verdict(*fields, {"order": (1, 0)}).as_json()["task"] == {"order": (1, 0)}
    assert [Verdict(name, *fields[1:]).exit_code for name in verdict.EXIT_CODES] == [0, 1, 2, 3, 3]


def test_tensors_are_read_row_by_row(tmp_path: Path) -> None:
    raw = Path(saved(tiny_model(Kind.SKILLED, Sizes(4, 3), 1), tmp_path)).read_bytes()
    size = int.from_bytes(raw[:8], "little")
    found = read_weights(str(tmp_path / "model.safetensors")).matrices
    tensor = found["W_pos"]
    numbers = [n for (n,) in struct.iter_unpack("<f", raw[8 + size :])]
    spelled = [Fraction(int(n), 2**tensor.exponent) for row in tensor.rows for n in row]
    assert len(tensor.rows) == 3
    assert any(spelled == list(map(Fraction, numbers[i : i + len(spelled)])) for i in range(len(numbers)))


def test_models_of_too_many_sequences_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    small = flat([[0] * 3] * 3).k
    assert small == 3
    with pytest.raises(Finding, match="sequences"):
        flat([[0] * 2] * 2, k=6501)
    assert flat([[0] * 2] * 2, k=6500).k == 6500
    assert arb(2) ** (1 << 13) == LARGEST
