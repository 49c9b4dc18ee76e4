"""The stand-in for a GPU finds what it is there to find."""

import pytest
import torch

from certkit import Interval
from tests.arithmetic.devices import AWAY, Away


@pytest.mark.parametrize("device", ["stand-in"], indirect=True)
def test_the_stand_in_refuses_two_devices(device: torch.device) -> None:
    here = torch.tensor([1.0, 2.0])
    there = here.to(device)
    assert there.device == AWAY
    assert there.cpu().tolist() == there.tolist() == [1.0, 2.0]
    for mix in (
        lambda: there + here,
        lambda: torch.cat([there, here]),
        lambda: torch.where(there > 1, there, here),
        lambda: here[there > 1],
        lambda: Interval.exact(there) * here,
        lambda: Interval.exact(there) @ here,
    ):
        with pytest.raises((RuntimeError, TypeError, IndexError)):
            mix()


@pytest.mark.parametrize("device", ["stand-in"], indirect=True)
def test_the_stand_in_shares_memory_as_torch_does(device: torch.device) -> None:
    x = torch.zeros(2, 3, dtype=torch.float64, device=device)
    row = x.unbind()[1]
    torch.add(row, 5e-324, out=row)
    x[0, :2] = 2.0
    assert x.tolist() == [[2.0, 2.0, 0.0], [5e-324] * 3]
    assert isinstance(row, Away)
    assert torch.add(row, row, out=row) is row
