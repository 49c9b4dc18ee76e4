"""The kinds of rows beyond tails, and their shapes in the file."""

from __future__ import annotations

from typing import Any

from certkit.kernel.bins import check_bins, recount
from certkit.kernel.pools import check_pool, pool_bounds
from certkit.kernel.reader import Entry, Row, dyadic, refuse, shaped, wide
from certkit.kernel.tails import Kind

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
