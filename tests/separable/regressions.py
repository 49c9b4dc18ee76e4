"""Models that once were certified wrongly, or nearly so."""

from __future__ import annotations

import torch

from proofs.model import Model


def overflowing_attention() -> Model:
    """V = 4, K = 2, with scores of 10²⁰: e to a difference of them is 0 or beyond float64.

    (q, m) = (2, 2) fails for x = 3 if the other token is 1. The bound of its worst case overflowed, and an
    infinite threshold was made the largest float on the way, as ``nan_to_num`` does unless told otherwise:
    times the least weight there is, that was next to nothing.
    """
    weights = {
        "W_E": [[-0.34, -0.024, 0.18, 0.27], [0.38, -0.094, 0.024, 0.0094], [0.14, -0.022, 0.092, -0.26],
                [0.025, 0.0067, -0.042, 0.15]],
        "W_pos": [[-8.1e-6, -5.8e-6, 8.3e-6, -3.5e-7], [5.3e-7, -8e-6, -8.7e-6, -7.5e-6]],
        "W_Q": [[1.1e19, 1.3e19, 9.5e18], [-7.2e19, -5.2e18, -1.7e17], [-2.4e19, -3.6e19, 7e19],
                [-3.1e19, 5.7e19, -9.9e18]],
        "W_K": [[-75.7, -71.4, 34.4], [41.0, -61.2, -6.5], [-8.2, 21.2, -21.0], [-80.5, -14.1, 28.4]],
        "W_V": [[3.7e-13, 4e-13, -2.1e-14], [3e-13, -3.8e-13, 1.5e-13], [2.7e-13, 1.6e-14, -2.8e-13],
                [-2.9e-13, 3e-13, 3.6e-13]],
        "W_O": [[-1.1e27, -4.3e26, 1.3e27, 3e27], [2.2e27, -2.8e27, -3.4e27, 2.9e27],
                [2.9e27, -7e26, 3.6e27, -2.9e27]],
        "W_U": [[5.2e-20, 1.4e-20, -4.8e-20, 3.4e-20], [-3.6e-20, 7.4e-21, 2.9e-20, -3.7e-20],
                [1.4e-20, -3.7e-20, -6.2e-21, 5.8e-20], [-4.6e-20, -2.5e-20, 2.3e-20, 5.8e-20]],
    }  # fmt: skip
    return Model(**{name: torch.tensor(rows, dtype=torch.float32) for name, rows in weights.items()})


def distant_powers() -> Model:
    """V = 2, K = 4, with powers of 10^-300 at two positions and of 10^180 at the other two.

    (q, m) = (0, 1) fails for x = 0 if m is at the first or second position alone. In ``separable-pool`` the
    product over these two underflowed to 0 before the large powers came, and the class was certified whole.
    """
    shapes = {"W_E": (2, 7), "W_pos": (4, 7), "W_Q": (7, 1), "W_K": (7, 1), "W_V": (7, 1), "W_O": (1, 7),
              "W_U": (7, 2)}  # fmt: skip
    w = {name: torch.zeros(shape) for name, shape in shapes.items()}
    w["W_E"][:, :2], w["W_pos"][:, 2:6] = torch.eye(2), torch.eye(4)
    w["W_Q"][5] = w["W_K"][4] = w["W_O"][0, 6] = w["W_U"][6, 0] = 1.0  # e times the weight at position 2
    w["W_V"][:6, 0] = torch.tensor([0.0, -560.0, -112.0, -112.0, 150.0, 410.0])
    return Model(**w)
