"""What Hypothesis learns of this package when it is imported; see `certkit._hypothesis`."""

from __future__ import annotations

from certkit._hypothesis import register_types


def register() -> None:
    """Register `proofs.Model`."""
    register_types((("proofs.model", "Model", "certkit.testing.strategies:tiny_models"),))
