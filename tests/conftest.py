"""What every test shares: one torch thread, Hypothesis profiles, the reference data and the trained zoo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from certkit._hypothesis import register_profiles

ROOT = Path(__file__).resolve().parent.parent
ZOO = ROOT / "tests" / "zoo"

register_profiles()
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> None:
    """Several test processes run side by side; more threads each would only fight."""
    torch.set_num_threads(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, visibly, what this machine cannot run; leave the long runs to ``-m extended``."""
    marks = {
        "cuda": pytest.mark.skip(reason="no CUDA device") if not torch.cuda.is_available() else None,
        "shared": pytest.mark.skip(reason="no reference data at ../shared")
        if shared_root() is None
        else None,
        "extended": None
        if "extended" in (config.getoption("-m") or "")
        else pytest.mark.skip(reason="long run: make soak"),
    }
    for item in items:
        for name, mark in marks.items():
            if mark is not None and item.get_closest_marker(name):
                item.add_marker(mark)


def shared_root() -> Path | None:
    """The reference data beside the checkout, if it is there."""
    root = ROOT.parent / "shared"
    return root if (root / "data").is_dir() else None


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """``../shared``; a test that asks for it skips where it is absent."""
    root = shared_root()
    if root is None:
        pytest.skip("no reference data at ../shared")
    return root


@pytest.fixture(scope="session")
def reference_dir(shared_dir: Path) -> Path:
    """The reference models and published numbers."""
    return shared_dir / "data" / "reference"


@pytest.fixture(scope="session")
def zoo_paths() -> list[Path]:
    """All trained models of the repository, in name order."""
    return sorted(ZOO.glob("*.safetensors"))


@pytest.fixture
def flush_denormal() -> Iterator[None]:
    """Subnormals flushed to zero on this thread for the duration of one test."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush subnormals")
    yield
    torch.set_flush_denormal(False)
