"""Elementwise programs on pieces that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

CHUNK = 16384
"""Elements of a piece. Longer ones leave the second-level cache, shorter ones pay more for calling than
computing.
"""


def common_shape(*shapes: Sequence[int]) -> torch.Size:
    """The shape that ``shapes`` broadcast to; `RuntimeError` if there is none.

    ``torch.broadcast_shapes`` is not used: in recent torch its first call imports sympy, half a
    second that would be added to the time of whatever is proved first.

    >>> common_shape((3, 1), (4,))
    torch.Size([3, 4])
    """
    if all(shape == shapes[0] for shape in shapes):
        return torch.Size(shapes[0])
    scalar = torch.empty(())
    common: torch.Size = torch.broadcast_tensors(*(scalar.expand(tuple(shape)) for shape in shapes))[0].shape
    return common


def by_chunks(program: Callable[..., tuple[Tensor, ...]], *operands: Tensor) -> tuple[Tensor, ...]:
    """``program(*operands)`` for an elementwise program, in pieces when the operands are large.

    Operands that are one and the same tensor stay so in every piece. Two results that are one tensor in the
    first piece must be so in all. On a GPU, and for small operands, the program runs once. The results are
    slices of one block of memory: one large block is reused by the allocator where several go back to the
    system.
    """
    shape = common_shape(*(x.shape for x in operands))
    count = shape.numel()
    if count <= 2 * CHUNK or operands[0].device.type != "cpu":
        return program(*operands)
    unique = {id(x): x for x in operands}
    flat = {
        key: x.reshape(()) if x.numel() == 1 else x.expand(shape).reshape(-1) for key, x in unique.items()
    }
    results: list[Tensor] = []
    aliases: list[int] = []
    for start in range(0, count, CHUNK):
        pieces = {key: x[start : start + CHUNK] if x.ndim else x for key, x in flat.items()}
        done = program(*(pieces[id(x)] for x in operands))
        if not results:
            ids = [id(x) for x in done]
            aliases = [ids.index(key) for key in ids]
            block = torch.empty(sum(x.dtype == torch.float64 for x in done), count, dtype=torch.float64)
            rows = iter(block.unbind())
            results = [
                next(rows) if x.dtype == torch.float64 else torch.empty(count, dtype=x.dtype) for x in done
            ]
        for i, piece in enumerate(done):
            if aliases[i] == i:
                results[i][start : start + CHUNK] = piece
    shaped = [x.reshape(shape) for x in results]
    return tuple(shaped[i] for i in aliases)


def _let_the_allocator_keep_memory() -> None:
    """One untouched block of 30 MB, taken and given back when this module is imported.

    glibc's allocator then keeps freed blocks up to this size (its dynamic threshold is the largest block
    freed so far, at most 32 MB) instead of returning them to the system, where every operation on a few
    hundred kilobytes would fault its buffers in again at twice the cost of the work. Other allocators do not
    mind.
    """
    torch.empty(30 << 20, dtype=torch.uint8)


_let_the_allocator_keep_memory()
