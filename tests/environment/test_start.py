"""The first proof of a process is not charged for packages it does not need."""

from __future__ import annotations

import subprocess
import sys

FIRST_PROOF = """
import sys, torch
from proofs.model import Model
from proofs.proving import prove

square = torch.eye(2)
model = Model(W_E=torch.randn(3, 2), W_pos=square, W_Q=square, W_K=square, W_V=square, W_O=square,
              W_U=torch.randn(2, 3))
for strategy in ("cubic", "separable-tail", "EUPU-svd-query+max-diff--attn-mean-query+diff--attn-err-svd"):
    prove(model, strategy)
print("sympy" in sys.modules)
"""


def test_a_proof_imports_no_symbolic_mathematics() -> None:
    """`torch.broadcast_shapes` would: half a second, counted as time of the first verification."""
    done = subprocess.run([sys.executable, "-c", FIRST_PROOF], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stdout + done.stderr
