"""Two-operand Einstein sums as one batched matrix product."""

from __future__ import annotations

from typing import TypeVar

from certkit._interval.shapes import Shapes

S = TypeVar("S", bound=Shapes)


def plan(equation: str, left_ndim: int, right_ndim: int) -> tuple[str, str, str]:
    """The subscripts of an explicit two-operand equation without repetitions or ellipses.

    Raises:
        ValueError: anything else, naming what is not supported.
    """
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    operands = inputs.split(",")
    if not arrow or len(operands) != 2:
        raise ValueError(
            f"einsum equation={equation!r}: write two operands and an output, such as 'ij,jk->ik'"
        )
    left, right = operands
    parts = (("left", left, left_ndim), ("right", right, right_ndim), ("output", output, len(output)))
    for name, subscripts, ndim in parts:
        if not all(c.isalpha() for c in subscripts) or len(set(subscripts)) != len(subscripts):
            raise ValueError(f"einsum equation={equation!r}: {name} subscripts must be distinct letters")
        if len(subscripts) != ndim:
            raise ValueError(
                f"einsum equation={equation!r}: the {name} operand has {ndim} dimensions, not "
                f"{len(subscripts)}"
            )
    if unknown := set(output) - set(left) - set(right):
        raise ValueError(f"einsum equation={equation!r}: {min(unknown)!r} is in no operand")
    return left, right, output


def arranged(x: S, subscripts: str, groups: tuple[str, str, str]) -> S:
    """``x`` with its dimensions ordered by three groups of letters, each group flattened into one
    dimension.
    """
    order = [subscripts.index(c) for group in groups for c in group]
    sizes = []
    for group in groups:
        size = 1
        for c in group:
            size *= x.shape[subscripts.index(c)]
        sizes.append(size)
    return x.permute(*order).reshape(*sizes) if x.ndim else x.reshape(*sizes)
