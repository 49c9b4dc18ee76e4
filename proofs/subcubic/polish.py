"""Untrusted improvement of witness directions by gradient descent in float64."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import torch
from torch import Tensor


@attrs.frozen
class Polish:
    """Steps of Adam, with a step size that falls linearly from ``rate`` to 0; none by default."""

    steps: int = 0
    rate: float = 0.0

    def improve(
        self, start: tuple[Tensor, ...], loss: Callable[[tuple[Tensor, ...]], Tensor]
    ) -> tuple[Tensor, ...]:
        """The best directions seen on the way down from ``start``, which is one of them. Deterministic.

        A loss that is not a finite number ends the descent.
        """
        directions = tuple(direction.clone().requires_grad_() for direction in start)
        optimizer = torch.optim.Adam(directions, lr=self.rate)
        best, best_loss = start, float("inf")
        for step in range(self.steps):
            for group in optimizer.param_groups:
                group["lr"] = self.rate * (1 - step / self.steps)
            optimizer.zero_grad()
            value = loss(directions)
            if not value.isfinite():
                break
            if value.item() < best_loss:
                best, best_loss = tuple(direction.detach().clone() for direction in directions), value.item()
            torch.autograd.backward(value)
            optimizer.step()
        return best
