"""Hypothesis strategies for tiny models."""

from __future__ import annotations

from hypothesis import strategies as st

from proofs.model import Model
from tests.support.models import Kind, Sizes, tiny_model

sizes = st.builds(
    Sizes,
    vocab=st.integers(1, 5),
    n_ctx=st.integers(1, 3),
    d_model=st.integers(1, 4),
    d_head=st.integers(1, 3),
)


def tiny_models() -> st.SearchStrategy[Model]:
    """Models of every kind with V ≤ 5 and K ≤ 3 (shrinks to few tokens and positions)."""
    return st.builds(tiny_model, st.sampled_from(Kind), sizes, st.integers(0, 2**31))
