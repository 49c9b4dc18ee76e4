"""Each refusal says which check it was, where, and what was found: the words of all of them.

Whoever changes a check or its words changes this page with it, on purpose.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from certkit.kernel import Verdict, audit
from tests.kernel import test_refusals as refusals
from tests.kernel.test_weights import BAD_MODELS
from tests.support.certs import saved, write

FILE_FIELDS = "['certkit', 'digest', 'file_digest', 'proof', 'remarks', 'statement']"
STATEMENT_FIELDS = (
    "['correct_at_least', 'correct_at_most', 'k', 'model', 'semantics', 'task', 'total', 'vocab']"
)
PROOF_FIELDS = "['content', 'parameters', 'strategy', 'version', 'witness']"
MODEL_FIELDS = "['W_E', 'W_K', 'W_O', 'W_Q', 'W_U', 'W_V', 'W_pos']"
ENTRY = "content[0] must be an object with q, m and one of sets, tails, pool, counts, bounds"
TENSOR_FIELDS = "['data_offsets', 'dtype', 'shape']"
WIDE = "must be an integer, as a string exactly if it is beyond 2^53"


def other_fields(where: str, fields: str, wrong: str) -> str:
    return f"{where} must be an object with the fields {fields}; wrong is {wrong}"


FALSE = {
    "one more claimed": "correct_at_least is 31, the content adds up to 30",
    "one less claimed": "correct_at_least is 29, the content adds up to 30",
    "total": "total is 65, the content adds up to 64",
    "upper claim invented": "correct_at_most is 1, the content adds up to 30",
    "k": "the model has k=3 and vocab=4",
    "vocab": "the model has k=3 and vocab=4",
    "class twice": "q=3 m=3 after (3, 3)",
    "classes unsorted": "q=2 m=3 after (3, 3)",
    "q above m": "q=3 m=2: no such class",
    "q negative": "q=-1 m=2: no such class",
    "m not a token": "q=0 m=4: no such class",
    "n negative": "q=3 m=3: n is out of range in cell (-1, (0, 0))",
    "n too large": "q=3 m=3: n is out of range in cell (3, (0, 0))",
    "n leaves no m": "q=0 m=3: n is out of range in cell (2, (0, 0))",
    "allowed holds m": "q=3 m=3: no set of tokens up to 2 in order: (0, 3)",
    "allowed negative": "q=3 m=3: no set of tokens up to 2 in order: (-1, 1)",
    "allowed repeats": "q=3 m=3: no set of tokens up to 2 in order: (0, 1, 1, 2)",
    "allowed touches": "q=3 m=3: no set of tokens up to 2 in order: (0, 1, 2, 2)",
    "allowed backwards": "q=3 m=3: no set of tokens up to 2 in order: (2, 1)",
    "allowed odd": "q=3 m=3: no set of tokens up to 2 in order: (1,)",
    "n = 0 with allowed": "q=3 m=3: n = 0 goes with no token, in cell (0, (0, 1))",
    "n = 1 without allowed": "q=3 m=3: n = 0 goes with no token, in cell (1, ())",
    "cells overlap": "q=3 m=3: cell (1, (0, 1)) meets cell (1, (1, 2))",
    "cell twice at n = 0": "q=3 m=3: cell (0, ()) meets cell (0, ())",
    "box too short": "q=3 m=3: not 2 positions: ((0, 3),)",
    "box too long": "q=3 m=3: not 2 positions: ((0, 3), (0, 3), (0, 3))",
    "box with empty set": "q=3 m=3: a box without sequences: ((), (3, 3))",
    "box above m": "q=0 m=2: no set of tokens up to 2 in order: (0, 3)",
    "box without m": "q=0 m=3: a box needs contains_max or a position that is m: ((0, 3), (0, 3))",
    "empty box": "q=0 m=3: a box without sequences: ((0, 2), (0, 2))",
    "exception outside": "q=3 m=3: exception not in its box: (0, 2)",
    "exception too short": "q=3 m=3: exception not in its box: (0,)",
    "exception without m": "q=3 m=3: exception not in its box: (0, 1)",
    "exceptions unsorted": "q=3 m=3: exceptions out of order in ((0, 3), (0, 3))",
    "exception twice": "q=3 m=3: exceptions out of order in ((0, 3), (0, 3))",
    "boxes overlap": "q=3 m=3: box ((0, 2), (0, 3)) meets box ((2, 3), (3, 3))",
    "boxes overlap in m": "q=0 m=3: box ((0, 3), (0, 3)) meets box ((3, 3), (0, 1))",
    "box and cell overlap": "q=3 m=3: cell (1, (0, 1)) meets box ((0, 0), (3, 3))",
    "box and cell 0 overlap": "q=3 m=3: cell (0, ()) meets box ((0, 3), (3, 3))",
    "tail for m": "q=3 m=3: x=3 is m, no token, out of order or there twice",
    "tail for no token": "q=3 m=3: x=4 is m, no token, out of order or there twice",
    "tails unsorted": "q=3 m=3: x=0 is m, no token, out of order or there twice",
    "tail twice": "q=3 m=3: x=1 is m, no token, out of order or there twice",
    "negative multiplier": "q=3 m=3: x=1 a multiplier is >= 0, not -1.0",
    "negative failing": "q=3 m=3: x=1 failing between 0 and -1",
    "33 significant bits": "q=3 m=3: x=1 more than 32 bits in 4294967297",
    "width 0": "q=3 m=3: x=1 a width is > 0, not 0.0",
    "width negative": "q=3 m=3: x=1 a width is > 0, not -1.0",
    "least above most": "q=3 m=3: x=1 failing between 2 1",
    "least of two tokens": "q=3 m=3: x=0,1 failing at least 1 is for single tokens",
    "least with a meet": "q=3 m=3: x=2 failing at least 1 is for single tokens",
    "negative width of a bound": "q=3 m=3: x=0,1 a width is > 0, not -1.0",
    "meet of a later token": "q=3 m=3: x=0 meets no earlier row by 1 64",
    "meet of itself": "q=3 m=3: x=0 meets no earlier row by 0 64",
    "meet of the maximum": "q=3 m=3: x=2 meets no earlier row by 3 64",
    "meet by nothing": "q=3 m=3: x=2 meets by no multiple 0 0",
    "meet the wrong way": "q=3 m=3: x=2 meets by no multiple 0 -64",
    "bounds for a token twice": "q=3 m=3: x=0,2 is m, no token, out of order or there twice",
    "bound unsorted": "q=3 m=3: x=1,0 is m, no token, out of order or there twice",
    "bound for m": "q=3 m=3: x=0,3 is m, no token, out of order or there twice",
    "bound for no token": "q=3 m=3: x=0,4 is m, no token, out of order or there twice",
    "too many sets": "q=3 m=3: more than 4096 sets",
}

UNREADABLE = {
    "extra field": other_fields("certificate", FILE_FIELDS, "['more']"),
    "extra in statement": other_fields("certificate.statement", STATEMENT_FIELDS, "['more']"),
    "extra in proof": other_fields("certificate.proof", PROOF_FIELDS, "['more']"),
    "missing remarks": other_fields("certificate", FILE_FIELDS, "['remarks']"),
    "missing witness": other_fields("certificate.proof", PROOF_FIELDS, "['witness']"),
    "missing claim": other_fields("certificate.statement", STATEMENT_FIELDS, "['correct_at_most']"),
    "remarks a list": "certificate.remarks must be dict",
    "strategy a number": "certificate.proof.strategy must be str",
    "strategy without name": "a strategy has a name and a version of at least 1",
    "version 0": "a strategy has a name and a version of at least 1",
    "version a bool": "certificate.proof.version must be int",
    "k a bool": "certificate.statement.k must be int",
    "k a string": "certificate.statement.k must be int",
    "k null": "certificate.statement.k must be int",
    "upper claim a bool": f"certificate.statement.correct_at_most {WIDE}",
    "claim a bool": f"certificate.statement.correct_at_least {WIDE}",
    "small claim a string": f"certificate.statement.correct_at_least {WIDE}",
    "claim with a sign": f"certificate.statement.correct_at_least {WIDE}",
    "claim with leading zero": f"certificate.statement.correct_at_least {WIDE}",
    "claim in other digits": f"certificate.statement.correct_at_least {WIDE}",
    "claim too long": f"certificate.statement.correct_at_least {WIDE}",
    "content an object": "certificate.proof.content must be a list",
    "entry null": ENTRY,
    "entry without content": ENTRY,
    "entry with two": other_fields("content[9]", "['m', 'q', 'sets']", "['tails']"),
    "q a bool": "content[0].q must be int",
    "cell n a bool": "content[9].sets.cells[0].n must be int",
    "token a bool": "content[9].sets.cells[0].allowed[0] must be int",
    "cell with more": other_fields("content[9].sets.cells[0]", "['allowed', 'n']", "['gap']"),
    "contains_max a number": "content[9].sets.boxes[0].contains_max must be bool",
    "exception a number": "content[9].sets.boxes[0].exceptions[0] must be a list",
    "a bound about nothing": "content[0].bounds.rows[0][0]: a bound is about tokens",
    "a bound without offset": "content[0].bounds.rows[0] must be a list of 6",
    "a bound about a token": "content[0].bounds.rows[0][0] must be a list",
    "a meet of one number": "content[0].bounds.rows[0][1]: a bound meets one or none by a multiple",
    "a meet by a dyadic": "content[0].bounds.rows[0][1][1] must be int",
    "a bound cut short": "content[0].bounds.rows[0] must be a list of 6",
    "a task of one list": other_fields("task", "['labels', 'order']", "['labels']"),
    "a task of numbers": "task.order must be a list",
}

FILES = {
    "not json": "the certificate is not JSON, or cut off",
    "not utf-8": "the certificate is not JSON in ASCII",
    "a list": "this auditor reads certificates with the field certkit: 1",
    "null": "this auditor reads certificates with the field certkit: 1",
    "duplicate key": "the certificate: a field is there twice",
    "NaN": "the certificate: NaN is no integer up to 2^53",
    "Infinity": "the certificate: Infinity is no integer up to 2^53",
    "decimal": "the certificate: 1.0 is no integer up to 2^53",
    "exponent": "the certificate: 1e0 is no integer up to 2^53",
    "true for 1": "this auditor reads certificates with the field certkit: 1",
    "next schema": "this auditor reads certificates with the field certkit: 1",
    "spaces": "the file is not in canonical form",
    "other order": "the file is not in canonical form",
    "escaped": "the file is not in canonical form",
    "two newlines": "the file is not in canonical form",
    "long integer": "the certificate: 99999999999999999 is no integer up to 2^53",
    "deep": "the certificate or the model's header is nested too deeply",
    "deep objects": "the certificate or the model's header is nested too deeply",
    "edited": "the file was changed: file_digest does not match",
    "empty": "the certificate is not JSON, or cut off",
}

STATEMENTS = {
    "task": "task 'sum-of-k' is unknown to this auditor",
    "task of many letters": f"task '{'sum-of-k' * 5}' is unknown to this auditor",
    "float16": "'float16' is unknown to this auditor",
    "Float32": "'Float32' is unknown to this auditor",
    "semantics": "'Real' is unknown to this auditor",
    "max-of-k in other words": "this task is spelled max-of-k",
    "order twice": "order and labels must each hold every token below 4 exactly once",
    "labels too many": "order and labels must each hold every token below 4 exactly once",
    "labels beyond": "order and labels must each hold every token below 4 exactly once",
}

MODELS = {
    "empty": "MODEL is not a safetensors file",
    "seven bytes": "MODEL is not a safetensors file",
    "header cut": "MODEL is not a safetensors file",
    "header too long": "MODEL is not a safetensors file",
    "data cut": "MODEL: the tensors overlap, leave a hole, or take 368 bytes of 367",
    "data longer": "MODEL: the tensors overlap, leave a hole, or take 368 bytes of 369",
    "header a list": other_fields("the header of MODEL", MODEL_FIELDS, "'list'"),
    "header not json": "the header of MODEL is not JSON, or cut off",
    "tensor missing": other_fields("the header of MODEL", MODEL_FIELDS, "['W_E']"),
    "tensor more": other_fields("the header of MODEL", MODEL_FIELDS, "['b_U']"),
    "no dtype": other_fields("the header of MODEL.W_E", TENSOR_FIELDS, "['dtype']"),
    "dtype a list": "the header of MODEL.W_E.dtype must be str",
    "dtype I32": "tensor W_E has dtype 'I32' or a size that is not its shape's",
    "dtype F16": "tensor W_E has dtype 'F16' or a size that is not its shape's",
    "shape a vector": "the header of MODEL.W_E.shape must be a list of 2",
    "shape a bool": "the header of MODEL.W_E.shape[1] must be int",
    "shape negative": "tensor W_E must have 1 to 4096 rows and columns",
    "shape empty": "tensor W_E must have 1 to 4096 rows and columns",
    "shape huge": "tensor W_E must have 1 to 4096 rows and columns",
    "shape smaller": "tensor W_E has dtype 'F32' or a size that is not its shape's",
    "offsets overlap": "MODEL: the tensors overlap, leave a hole, or take 367 bytes of 368",
    "offsets a hole": "MODEL: the tensors overlap, leave a hole, or take 369 bytes of 368",
    "offsets shifted": "MODEL: the tensors overlap, leave a hole, or take 368 bytes of 368",
    "offsets backwards": "MODEL: the tensors overlap, leave a hole, or take 368 bytes of 368",
    "a NaN": "tensor W_pos holds a number that is not finite",
    "an infinity": "tensor W_pos holds a number that is not finite",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("messages")
    saved(refusals.MODEL, folder)
    return folder


def judge(data: bytes | refusals.Document, folder: Path, model: str = "model.safetensors") -> Verdict:
    return audit(write(data, folder), str(folder / model))


def test_every_case_has_its_words() -> None:
    assert refusals.FALSE.keys() == FALSE.keys()
    assert refusals.UNREADABLE.keys() == UNREADABLE.keys()
    assert refusals.BAD_FILES.keys() == FILES.keys()
    assert refusals.REFUSED_STATEMENTS.keys() == STATEMENTS.keys()
    assert BAD_MODELS.keys() == MODELS.keys()


@pytest.mark.parametrize("name", FALSE)
def test_false_content(name: str, folder: Path) -> None:
    change, rule = refusals.FALSE[name]
    verdict = judge(refusals.edited(change), folder)
    assert (verdict.verdict, verdict.rule, verdict.where) == ("refuted", rule, FALSE[name])


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_content(name: str, folder: Path) -> None:
    verdict = judge(refusals.edited(refusals.UNREADABLE[name]), folder)
    assert (verdict.verdict, verdict.rule, verdict.where) == ("refused", "schema", UNREADABLE[name])


@pytest.mark.parametrize("name", FILES)
def test_files(name: str, folder: Path) -> None:
    data, rule = refusals.BAD_FILES[name]
    verdict = judge(data, folder)
    assert (verdict.verdict, verdict.rule, verdict.where) == ("refused", rule, FILES[name])


@pytest.mark.parametrize("name", STATEMENTS)
def test_statements(name: str, folder: Path) -> None:
    change, rule = refusals.REFUSED_STATEMENTS[name]
    verdict = judge(refusals.edited(change), folder)
    assert (verdict.verdict, verdict.rule, verdict.where) == ("refused", rule, STATEMENTS[name])


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str, folder: Path) -> None:
    path = folder / "bad"
    path.write_bytes(BAD_MODELS[name]((folder / "model.safetensors").read_bytes()))
    verdict = judge(refusals.DATA, folder, "bad")
    assert (verdict.verdict, verdict.where.replace(str(path), "MODEL")) == ("refused", MODELS[name])
