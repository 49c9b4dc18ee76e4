"""That the exceptions of cells and boxes fail, which a claim from above needs: so many are correct at most.

A claim from below just leaves them out.
"""

from __future__ import annotations

from certkit.kernel.counting import Entry, Tokens, read_parts
from certkit.kernel.model import Model
from certkit.kernel.sets import Terms, fails, plainly_correct
from certkit.kernel.verdict import PRECISIONS, Finding


def check_exceptions(model: Model, entry: Entry) -> int:
    """Raise a `Finding` unless every exception fails for some x; return the precision that was needed."""
    unconfirmed = {e for part in read_parts(entry, model.k) for e in part.exceptions}
    needed, doubtful = PRECISIONS[0], set[Tokens]()
    for x in range(model.vocab):
        if x == entry.m or not unconfirmed or plainly_correct(model, entry, x):
            continue
        unsettled = unconfirmed
        for bits in PRECISIONS:
            needed, view = max(needed, bits), Terms(model, entry, x, bits)
            unsettled = {e for e in unsettled if not beaten(view, entry, e)}
            failing = {e for e in unsettled if fails(model, view, entry, e, x)}
            unconfirmed, unsettled = unconfirmed - failing, unsettled - failing
            if not unsettled:
                break
        doubtful |= unsettled  # another x may confirm them
    where = f"q={entry.q} m={entry.m}: exception"
    for exception in sorted(unconfirmed - doubtful):
        raise Finding("refuted", "exception", f"{where} {exception} is correct")
    for exception in sorted(unconfirmed):
        raise Finding("undecided", "exception", f"{where} {exception} may be correct")
    return needed


def beaten(view: Terms, entry: Entry, sequence: Tokens) -> bool:
    """Whether the upper sum of a sequence is below 0, so that it does not fail."""
    return bool(sum(view.high[p][t] for p, t in enumerate((*sequence, entry.q))) < 0)
