"""How much narrower affine forms are than intervals on a small tanh network, and what they cost.

OMP_NUM_THREADS=1 python -m benchmarks.affine [--width 16] [--depth 4]
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

from certkit import Interval
from certkit.affine import Affine


def network(width: int, depth: int, generator: torch.Generator) -> list[tuple[Tensor, Tensor]]:
    """Random affine layers with gain 1.5."""
    return [
        (
            1.5 * torch.randn(width, width, generator=generator, dtype=torch.float64) / width**0.5,
            0.5 * torch.randn(1, width, generator=generator, dtype=torch.float64),
        )
        for _ in range(depth)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--depth", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'radius':>8}{'interval width':>16}{'affine width':>14}{'ratio':>8}{'CPU s':>8}{'symbols':>9}")
    for radius in (0.1, 0.03, 0.01, 0.003, 0.001):
        generator = torch.Generator().manual_seed(0)
        layers = network(options.width, options.depth, generator)
        box = Interval.ball(torch.linspace(-1, 1, options.width, dtype=torch.float64).reshape(1, -1), radius)
        form, plain = Affine.from_interval(box), box
        start = time.process_time()
        for weight, bias in layers:
            form = (form @ weight + bias).tanh()
        spent = time.process_time() - start
        for weight, bias in layers:
            plain = (plain @ weight + bias).tanh()
        ours, theirs = form.to_interval().wid().mean(), plain.wid().mean()
        widths = f"{theirs:16.3e}{ours:14.3e}{theirs / ours:8.1f}"
        print(f"{radius:8.3f}{widths}{spent:8.3f}{form.symbols.numel():9d}")


if __name__ == "__main__":
    main()
