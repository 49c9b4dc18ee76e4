"""Peeling rank-one parts off a matrix along free directions.

For any matrix ``X``, any vector ``u`` and any row ``r``:  ``X = u r + (X - u r)``.  With ``u`` a unit
vector and ``r = uᵀX`` the remainder is what is orthogonal to ``u``; but the identity does not need that,
so a direction that came from an unverified decomposition, or from an adversary, is as sound as the true
singular vector.
"""

from __future__ import annotations

import attrs
import torch
from torch import Tensor

from certkit.interval import Interval
from certkit.relax._points import near_middle, point


@attrs.frozen
class DirectionSplit:
    """``X = left @ right + remainder`` for every member of ``X``.

    ``left [..., m, r]`` and ``right [..., r, n]`` are points, so the low-rank part carries no width;
    all uncertainty of ``X`` is in ``remainder [..., m, n]``.
    """

    left: Interval
    right: Interval
    remainder: Interval


def split_directions(x: Interval, directions: Tensor) -> DirectionSplit:
    """Peel ``u (uᵀ X)`` off ``x`` for each direction in turn (the next one sees the remainder).

    The row ``uᵀX`` is rounded to a point; the remainder is formed with that same point, which is why the
    split is exact.  To peel directions of the column space off the right side, split the transpose.

    Args:
        x: ``[..., m, n]``, bounded.
        directions: ``[..., r, m]`` finite numbers, not necessarily unit or orthogonal.

    Raises:
        ValueError: a direction is not finite, or their length is not the number of rows of ``x``.

    Example:
        >>> x = Interval.exact(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        >>> parts = split_directions(x, torch.tensor([[1.0, 0.0]]))
        >>> float(parts.remainder.abs().amax().hi) < 1e-12
        True
    """
    if directions.shape[-1] != x.shape[-2]:
        raise ValueError(f"directions have length {directions.shape[-1]}, the matrix has {x.shape[-2]} rows")
    if not bool(torch.isfinite(directions).all()):
        raise ValueError("directions must be finite numbers")
    directions = directions.to(device=x.device, dtype=torch.float64)
    rows, remainder = [], x
    for i in range(directions.shape[-2]):
        u = point(directions[..., i : i + 1, :])
        row = point(near_middle(u @ remainder))
        remainder = remainder - u.mT @ row
        rows.append(row.lo)
    right = torch.cat(rows, -2) if rows else x.lo.new_zeros(*x.shape[:-2], 0, x.shape[-1])
    return DirectionSplit(point(directions.mT), point(right), remainder)
