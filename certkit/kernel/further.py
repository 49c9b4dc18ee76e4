"""What only some certificates need: other rows than tails, other tasks, binary32.

None of this is imported before a certificate says that it is needed, so for any other it need not be read.
"""

from __future__ import annotations

from typing import Any

from certkit.kernel.bins import check_bins, recount
from certkit.kernel.execution import Execution
from certkit.kernel.model import Model
from certkit.kernel.pools import check_pool, pool_bounds
from certkit.kernel.reader import Entry, Row, Statement, dyadic, refuse, shaped, wide
from certkit.kernel.tails import Kind
from certkit.kernel.tasks import read_task, renamed
from certkit.kernel.weights import Weights

#: The kinds of rows beyond tails, and their shapes in the file.
KINDS = {
    "pool": Kind(check_pool, pool_bounds),
    "counts": Kind(check_bins, recount),
    "bounds": Kind(check_bins, recount),
}
_LADDER = {"light": [int], "multiplier": dyadic, "levels": int}
_SHAPES = {
    "pool": _LADDER | {"shift": dyadic, "failing_at_most": wide},
    "counts": {"shift": dyadic, "rows": [(int, dyadic, dyadic, wide, wide)]},
    "bounds": {"shift": dyadic, "rows": [([int], [int], dyadic, dyadic, wide, wide)]},
}


def read_entry(value: Any, name: str) -> Entry:
    """Return the content of one class, of one of the kinds above."""
    kind = next((kind for kind in KINDS if type(value) is dict and kind in value), None)
    if kind is None:
        refuse("schema", f"{name} must be an object with q, m and sets, tails, pool, counts or bounds")
    q, m, inner = shaped(value, {"q": int, "m": int, kind: _SHAPES[kind]}, name).values()
    if kind == "pool":
        multiplier, most = (inner["multiplier"],), inner["failing_at_most"]
        rows = [Row((), multiplier, most, light=inner["light"], levels=inner["levels"])]
    elif kind == "counts":
        rows = [Row((x,), (width, offset), most, least) for x, width, offset, most, least in inner["rows"]]
    else:
        rows = [Row(xs, (w, o), most, least, meet) for xs, meet, w, o, most, least in inner["rows"]]
        if not all(row.outputs and len(row.meet) in (0, 2) for row in rows):
            refuse("schema", f"{name}: a bound is about tokens, and meets one or none by a multiple")
    return Entry(q, m, kind, shift=inner["shift"], rows=tuple(rows))


def read_subject(weights: Weights, statement: Statement, only_sets: bool) -> tuple[Model, Any]:
    """Return the model that the claim is about, and the task if it is another than max-of-k."""
    task = None
    if statement.task != "max-of-k":
        found = read_task(statement.task)
        weights, task = renamed(weights, found), found._asdict()
    if statement.semantics == "real":
        return Model(weights), task
    if statement.semantics != "float32":
        refuse("semantics", f"{statement.semantics[:40]!a} is unknown to this auditor")
    if not only_sets:
        refuse("semantics", "a float32 claim is audited if it has cells and boxes alone")
    return Execution(weights), task
