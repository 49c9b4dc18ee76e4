"""Printing: decimal bounds are rounded outward, so that what is shown contains what is meant."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from html import escape

from torch import Tensor

from certkit._interval.base import Base

_DIGITS = 6
_EDGE = 3
_MANY = 1000


def decimal_down(x: float, digits: int = _DIGITS) -> str:
    """A decimal with at most ``digits`` significant digits that is not above x."""
    return _decimal(x, Context(prec=digits, rounding=ROUND_FLOOR))


def decimal_up(x: float, digits: int = _DIGITS) -> str:
    """A decimal with at most ``digits`` significant digits that is not below x."""
    return _decimal(x, Context(prec=digits, rounding=ROUND_CEILING))


def _decimal(x: float, context: Context) -> str:
    if x == 0:
        return "0"
    if x in (float("inf"), float("-inf")):
        return "inf" if x > 0 else "-inf"
    value = context.plus(Decimal(x)).normalize(context)
    return f"{value:f}" if -5 <= value.adjusted() < 16 else f"{value:e}"


def element(lo: float, hi: float) -> str:
    """One interval as ``[lo, hi]``."""
    return "[empty]" if lo > hi else f"[{decimal_down(lo)}, {decimal_up(hi)}]"


def _nested(lo: Tensor, hi: Tensor, indent: int, summarise: bool) -> str:
    if lo.ndim == 0:
        return element(float(lo), float(hi))
    count = len(lo)
    short = summarise and count > 2 * _EDGE
    chosen = [*range(_EDGE), *range(count - _EDGE, count)] if short else range(count)
    parts = [_nested(lo[i], hi[i], indent + 1, summarise) for i in chosen]
    if short:
        parts.insert(_EDGE, "...")
    glue = ", " if lo.ndim == 1 else ",\n" + " " * (indent + 1)
    return "[" + glue.join(parts) + "]"


def interval_repr(lo: Tensor, hi: Tensor) -> str:
    """As torch prints tensors: long dimensions are summarised, the device is named unless it is the CPU."""
    head = "Interval("
    body = _nested(lo, hi, len(head), lo.numel() > _MANY)
    shape = f", shape={tuple(lo.shape)}" if lo.numel() == 0 or lo.numel() > _MANY else ""
    device = "" if lo.device.type == "cpu" else f", device='{lo.device}'"
    return f"{head}{body}{shape}{device})"


def interval_html(lo: Tensor, hi: Tensor) -> str:
    """A table of the first rows and columns of the last two dimensions, for notebooks; it says which."""
    shape = tuple(lo.shape)
    caption = f"Interval, shape {shape}, bounds rounded outward"
    if lo.numel() == 0:
        return f"<p>{escape(caption)}: no elements</p>"
    shown = (0,) * (lo.ndim - 2) + (slice(2 * _EDGE),) * min(lo.ndim, 2)
    if any(size > (1 if index == 0 else 2 * _EDGE) for size, index in zip(shape, shown, strict=True)):
        caption += f"; of it [{', '.join('0' if index == 0 else f':{2 * _EDGE}' for index in shown)}]"
    low, high = (x[shown].reshape(-1, x[shown].shape[-1] if x.ndim else 1).tolist() for x in (lo, hi))
    rows = ([element(a, b) for a, b in zip(x, y, strict=True)] for x, y in zip(low, high, strict=True))
    cells = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f'<p>{escape(caption)}</p><table style="white-space:nowrap">{cells}</table>'


class Display(Base):
    """``repr``, ``str`` and the notebook table."""

    __slots__ = ()

    def __repr__(self) -> str:
        return interval_repr(self.lo, self.hi)

    def _repr_html_(self) -> str:
        return interval_html(self.lo, self.hi)
