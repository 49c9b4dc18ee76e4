"""Untrusted improvement of witness directions by gradient descent in float64."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import torch
from torch import Tensor


@attrs.frozen
class Polish:
    """Steps of Adam, with a step size that falls linearly from ``rate`` to 0; none by default.

    (Written out: constructing ``torch.optim.Adam`` imports a compiler, a second and a half for nothing.)
    """

    steps: int = 0
    rate: float = 0.0

    def improve(
        self, start: tuple[Tensor, ...], loss: Callable[[tuple[Tensor, ...]], Tensor]
    ) -> tuple[Tensor, ...]:
        """The best directions seen on the way down from ``start``, which is one of them. Deterministic.

        A loss that is not a finite number ends the descent.
        """
        sizes = [direction.numel() for direction in start]
        point = torch.cat(start).requires_grad_()
        best, best_loss = start, float("inf")
        drift, scale = torch.zeros_like(point), torch.zeros_like(point)
        for step in range(self.steps):
            value = loss(point.split(sizes))
            if not value.isfinite():
                break
            if value.item() < best_loss:
                best, best_loss = point.detach().clone().split(sizes), value.item()
            (gradient,) = torch.autograd.grad(value, point)
            drift = 0.9 * drift + 0.1 * gradient
            scale = 0.999 * scale + 0.001 * gradient.square()
            length = drift / (1 - 0.9 ** (step + 1))
            spread = (scale / (1 - 0.999 ** (step + 1))).sqrt()
            rate = self.rate * (1 - step / self.steps)
            move = length / torch.where(spread > 0, spread, 1.0)
            point = (point - rate * move).detach().requires_grad_()
        return best
