"""Shape operations: the same torch operation on both bounds. They move numbers and compute none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor

from certkit._interval.base import Base


class Shapes(Base):
    """torch's shape methods, with torch's arguments."""

    __slots__ = ()

    def _map(self, move: Callable[[Tensor], Tensor]) -> Self:
        lo = move(self.lo)
        return self._unchecked(lo, lo if self._is_point else move(self.hi))

    @property
    def shape(self) -> torch.Size:
        """The common shape of the bounds."""
        return self.lo.shape

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.lo.ndim

    @property
    def device(self) -> torch.device:
        """Where the bounds live."""
        return self.lo.device

    @property
    def dtype(self) -> torch.dtype:
        """Always float64."""
        return self.lo.dtype

    def size(self, dim: int | None = None) -> torch.Size | int:
        """As torch.Tensor.size."""
        return self.lo.shape if dim is None else self.lo.shape[dim]

    def numel(self) -> int:
        """Number of elements."""
        return self.lo.numel()

    def dim(self) -> int:
        """Number of dimensions."""
        return self.lo.ndim

    def __len__(self) -> int:
        return len(self.lo)

    def __getitem__(self, index: Any) -> Self:
        """Indexing with integers, slices, ``None``, ``...``, masks and integer tensors, as in torch."""
        return self._map(lambda x: x[index])

    def reshape(self, *shape: Any) -> Self:
        """As torch.Tensor.reshape."""
        return self._map(lambda x: x.reshape(*shape))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Self:
        """As torch.Tensor.flatten."""
        return self._map(lambda x: x.flatten(start_dim, end_dim))

    def unflatten(self, dim: int, sizes: tuple[int, ...]) -> Self:
        """As torch.Tensor.unflatten."""
        return self._map(lambda x: x.unflatten(dim, sizes))

    def expand(self, *sizes: Any) -> Self:
        """As torch.Tensor.expand."""
        return self._map(lambda x: x.expand(*sizes))

    def broadcast_to(self, shape: Any) -> Self:
        """As torch.Tensor.broadcast_to."""
        return self._map(lambda x: x.broadcast_to(shape))

    def transpose(self, dim0: int, dim1: int) -> Self:
        """As torch.Tensor.transpose."""
        return self._map(lambda x: x.transpose(dim0, dim1))

    def permute(self, *dims: Any) -> Self:
        """As torch.Tensor.permute."""
        return self._map(lambda x: x.permute(*dims))

    def movedim(self, source: Any, destination: Any) -> Self:
        """As torch.Tensor.movedim."""
        return self._map(lambda x: x.movedim(source, destination))

    @property
    def mT(self) -> Self:
        """The last two dimensions swapped."""
        return self._map(lambda x: x.mT)

    @property
    def T(self) -> Self:
        """The transpose of a matrix."""
        return self._map(lambda x: x.T)

    def unsqueeze(self, dim: int) -> Self:
        """As torch.Tensor.unsqueeze."""
        return self._map(lambda x: x.unsqueeze(dim))

    def squeeze(self, dim: int | None = None) -> Self:
        """As torch.Tensor.squeeze."""
        return self._map(lambda x: x.squeeze() if dim is None else x.squeeze(dim))

    def flip(self, *dims: Any) -> Self:
        """As torch.Tensor.flip."""
        return self._map(lambda x: x.flip(*dims))

    def roll(self, shifts: Any, dims: Any = None) -> Self:
        """As torch.Tensor.roll."""
        return self._map(lambda x: x.roll(shifts, dims))

    def narrow(self, dim: int, start: int, length: int) -> Self:
        """As torch.Tensor.narrow."""
        return self._map(lambda x: x.narrow(dim, start, length))

    def gather(self, dim: int, index: Tensor) -> Self:
        """As torch.Tensor.gather."""
        return self._map(lambda x: x.gather(dim, index))

    def index_select(self, dim: int, index: Tensor) -> Self:
        """As torch.Tensor.index_select."""
        return self._map(lambda x: x.index_select(dim, index))

    def take_along_dim(self, indices: Tensor, dim: int | None = None) -> Self:
        """As torch.Tensor.take_along_dim."""
        return self._map(
            lambda x: x.take_along_dim(indices, dim) if dim is not None else x.take_along_dim(indices)
        )

    def diagonal(self, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Self:
        """As torch.Tensor.diagonal."""
        return self._map(lambda x: x.diagonal(offset, dim1, dim2))

    def contiguous(self) -> Self:
        """As torch.Tensor.contiguous."""
        return self._map(lambda x: x.contiguous())

    def clone(self) -> Self:
        """A copy with bounds of its own."""
        return self._map(lambda x: x.clone())

    def to(self, device: torch.device | str) -> Self:
        """The same intervals on another device. The dtype is always float64."""
        return self._map(lambda x: x.to(device=torch.device(device)))

    def cpu(self) -> Self:
        """The same intervals on the CPU."""
        return self.to("cpu")
