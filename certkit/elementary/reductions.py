"""Rigorous ``logsumexp`` and ``softmax`` of interval tensors, for scores of any size and spread.

softmax.  The component ``p_i = e^x_i / (e^x_i + Σ_{j≠i} e^x_j)`` increases in ``x_i`` and decreases in
every other score, so over a box its least value is at ``(lo_i, hi_j)`` and its largest at ``(hi_i, lo_j)``:
the bounds are those of two real softmaxes, not of a quotient of two unrelated intervals.  Scores are
shifted by the largest of the *other* scores wherever it matters, so the sum is between 1 and K;
exponentials that under- or overflow drive the component to 0 or 1 outward, and no 0/0 or inf/inf arises.

logsumexp.  Increasing in every score: the lower bound is taken at ``lo``, the upper at ``hi``, each shifted
by its own maximum.

Sums carry the a-priori bounds of `certkit.linalg`, everything else is directed rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from certkit import cost
from certkit.elementary.exponential import exp_bounds
from certkit.elementary.logarithm import log_bounds
from certkit.linalg import sum_lower, sum_upper
from certkit.rounding import add_down, add_up, div_down, div_up, sub_down, sub_up

if TYPE_CHECKING:
    from certkit.interval import Interval

_SPREAD = 200.0
"""Where a score's own interval reaches less than this below the largest score, one shift serves all
components.
"""


def logsumexp(x: Interval, dim: int, keepdim: bool = False) -> Interval:
    """Encloses ``log Σ e^x`` along one dimension.

    Tightness: about ``(4 + 2 log2 K) u`` absolutely, and an ulp of the result where that is larger.

    Args:
        x: Any shape with at least one entry along ``dim``; ends may be infinite; a slice with an empty
            interval gives the empty interval.
        dim: The dimension to reduce.
        keepdim: Keep it with length 1.

    Raises:
        ValueError: the dimension has length 0.

    Example:
        >>> from certkit import Interval
        >>> y = logsumexp(Interval.exact(torch.tensor([1000.0, 1000.0])), 0)
        >>> bool(y.contains(1000.6931471805599)), y.wid().item() < 1e-12
        (True, True)
    """
    lo, hi = _rows(x, dim)
    down = _logsumexp_lower(lo)
    up = _logsumexp_upper(hi)
    empty = (lo > hi).any(-1)
    down, up = torch.where(empty, torch.inf, down), torch.where(empty, -torch.inf, up)
    cost.record(flops=3 * lo.numel() + 2 * down.numel(), comparisons=lo.numel())
    if keepdim:
        down, up = down.unsqueeze(dim), up.unsqueeze(dim)
    return type(x)._unchecked(down, up)


def _logsumexp_lower(lo: Tensor) -> Tensor:
    top = lo.amax(-1, keepdim=True)
    shift = torch.where(top.isinf(), 0.0, top)
    difference = sub_down(lo, shift)
    total = sum_lower(exp_bounds(difference, difference)[0])
    down = add_down(log_bounds(total, total)[0], shift.squeeze(-1))
    return torch.where(top.squeeze(-1).isinf(), top.squeeze(-1), down)


def _logsumexp_upper(hi: Tensor) -> Tensor:
    top = hi.amax(-1, keepdim=True)
    shift = torch.where(top.isinf(), 0.0, top)
    difference = sub_up(hi, shift)
    total = sum_upper(exp_bounds(difference, difference)[1])
    up = add_up(log_bounds(total, total)[1], shift.squeeze(-1))
    return torch.where(top.squeeze(-1).isinf(), top.squeeze(-1), up)


def softmax(x: Interval, dim: int) -> Interval:
    """Encloses the softmax along one dimension, each component over the whole box of scores.

    Tightness: each bound is within about ``(12 + 2 log2 K + 2|x_i - M|) u`` relatively of the component's
    exact extreme over the box, ``M`` being the largest upper (for upper bounds, lower) end of the slice; the
    last term is the rounding of ``x_i - M``.  Never outside [0, 1]; a component alone in its slice is 1.

    Args:
        x: Any shape with at least one entry along ``dim``; ends may be infinite; a slice with an empty
            interval gives empty intervals.
        dim: The dimension whose components add up to 1.

    Raises:
        ValueError: the dimension has length 0.

    Example:
        >>> from certkit import Interval
        >>> p = softmax(Interval.exact(torch.tensor([0.0, -2000.0])), 0)
        >>> p.hi.tolist() == [1.0, 5e-324], bool(p.lo[0] > 1 - 1e-15)
        (True, True)
    """
    lo, hi = _rows(x, dim)
    if lo.shape[-1] == 1:
        down, up = torch.ones_like(lo), torch.ones_like(hi)
    else:
        down, up = _softmax_lower(lo, hi), _softmax_upper(lo, hi)
    empty = (lo > hi).any(-1, keepdim=True)
    if bool(empty.any()):
        down, up = torch.where(empty, torch.inf, down), torch.where(empty, -torch.inf, up)
    cost.record(flops=4 * lo.numel(), comparisons=lo.numel())
    return type(x)._unchecked(down.movedim(-1, dim), up.movedim(-1, dim))


def _softmax_lower(lo: Tensor, hi: Tensor) -> Tensor:
    """``a/(a + s)`` with ``a`` a lower bound of ``e^(lo_i - M)``, ``s`` an upper bound of ``Σ_{j≠i} e^(hi_j
    - M)``.
    """
    top, where = hi.max(-1, keepdim=True)
    shift = torch.where(top == torch.inf, 0.0, top)
    mine = sub_down(lo, shift)
    result = _share_down(exp_bounds(mine, mine)[0], _others_upper(sub_up(hi, shift), where))
    # The largest score may reach so far down that its exponential vanishes: shift by the runner-up instead.
    first_lo, first_hi = lo.gather(-1, where), hi.gather(-1, where)
    if not bool((sub_up(first_hi, first_lo) <= _SPREAD).all()):
        rest = hi.scatter(-1, where, -torch.inf)
        second = rest.amax(-1, keepdim=True)
        shift = torch.where(second.isinf(), 0.0, second)
        difference, mine = sub_up(rest, shift), sub_down(first_lo, shift)
        others = sum_upper(exp_bounds(difference, difference)[1]).unsqueeze(-1)
        result = result.scatter(-1, where, _share_down(exp_bounds(mine, mine)[0], others))
        unbounded = (hi == torch.inf).to(torch.int64)
        result = torch.where(unbounded.sum(-1, keepdim=True) > unbounded, 0.0, result)
    return result


def _softmax_upper(lo: Tensor, hi: Tensor) -> Tensor:
    """``a/(a + s)`` with ``a`` an upper bound of ``e^(hi_i - M)``, ``s`` a lower bound of ``Σ_{j≠i} e^(lo_j
    - M)``.
    """
    top, where = lo.max(-1, keepdim=True)
    shift = torch.where(top == -torch.inf, 0.0, top)
    mine = sub_up(hi, shift)
    result = _share_up(exp_bounds(mine, mine)[1], _others_lower(sub_down(lo, shift), where))
    return torch.where(top == -torch.inf, 1.0, result)


def _others_upper(difference: Tensor, where: Tensor) -> Tensor:
    """Upper bounds of ``Σ_{j≠i} e^d_j`` for each i, where ``d`` is at most 0 and is 0 at ``where``.

    That entry contributes exactly 1 to all sums but its own.  The sum of the rest without the component is a
    difference, of the very numbers that were added, and beside that 1 it loses nothing.
    """
    up = exp_bounds(difference, difference)[1].scatter(-1, where, 0.0)
    total = sum_upper(up).unsqueeze(-1)
    others = add_up(sub_up(total, up).clamp(min=0.0), torch.ones_like(total))
    return others.scatter(-1, where, total)


def _others_lower(difference: Tensor, where: Tensor) -> Tensor:
    """Lower bounds of ``Σ_{j≠i} e^d_j`` for each i, as in `_others_upper`."""
    down = exp_bounds(difference, difference)[0].scatter(-1, where, 0.0)
    total = sum_lower(down).unsqueeze(-1)
    others = add_down(sub_down(total, down).clamp(min=0.0), torch.ones_like(total))
    return others.scatter(-1, where, total.clamp(min=0.0))


def _share_down(a: Tensor, s: Tensor) -> Tensor:
    """Lower bounds of ``a/(a + s)``, which grows with ``a``; for ``a > 1`` as ``1/(1 + s/a)``, where ``a``
    may be huge.
    """
    one = torch.ones((), dtype=torch.float64, device=a.device)
    large = div_down(one, add_up(div_up(s, a.clamp(min=1.0)), one))
    small = a.clamp(max=1.0)
    return torch.where(a > 1, large, div_down(small, add_up(small, s)))


def _share_up(a: Tensor, s: Tensor) -> Tensor:
    """Upper bounds of ``a/(a + s)``; ``a`` may be inf (then 1), and is never 0."""
    one = torch.ones((), dtype=torch.float64, device=a.device)
    large = div_up(one, add_down(div_down(s, a.clamp(min=1.0)), one))
    small = a.clamp(max=1.0)
    return torch.where(a > 1, large, div_up(small, add_down(small, s)).clamp(max=1.0))


def _rows(x: Interval, dim: int) -> tuple[Tensor, Tensor]:
    if x.lo.ndim == 0 or x.lo.shape[dim] == 0:
        raise ValueError(f"dim={dim} of shape {tuple(x.lo.shape)} has no entries to reduce")
    return x.lo.movedim(dim, -1), x.hi.movedim(dim, -1)
