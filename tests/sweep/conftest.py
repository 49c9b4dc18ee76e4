"""Tiny models, and a plug-in package with strategies that misbehave in every way a sweep must survive."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proofs.training import Recipe, train_into

PLUG_IN = """
import os, signal, time
from proofs.cubic import STRATEGIES as CUBIC
from proofs.strategy import ComplexityClass, Family, Semantics, StrategyError

class Misbehaving:
    version, family, semantics = 1, Family.PLUG_IN, Semantics.REAL
    complexity_class, description = ComplexityClass.CUBIC, "misbehaves"
    def __init__(self, name, act):
        self.name, self.act = name, act
        self.cubic = next(iter(CUBIC))
        self.witness_type = self.cubic.witness_type
    def search(self, model):
        self.act()
        return self.cubic.search(model)
    def verify(self, model, witness):
        return self.cubic.verify(model, witness)
    def unexplained_dimension(self, model):
        return 1

def refuse():
    raise StrategyError("not this model")
def mistake():
    raise RuntimeError("a mistake of the programmer")
def devour():
    import torch
    torch.zeros(2**33)
def chatter():
    print("this does not belong into the answers")

STRATEGIES = tuple(Misbehaving(name, act) for name, act in {
    "plug-sleeps": lambda: time.sleep(3600),
    "plug-naps": lambda: time.sleep(0.2),
    "plug-devours": devour,
    "plug-dies": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "plug-errs": mistake,
    "plug-refuses": refuse,
    "plug-chatters": chatter,
}.items())
"""


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three trained models with V = 5, K = 3."""
    recipe = Recipe(n_ctx=3, vocab=5, d_model=8, d_head=4, steps=300, batch=32)
    return list(train_into(tmp_path_factory.mktemp("models"), recipe, range(3)).values())


@pytest.fixture(scope="session")
def plug_in_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that, on PYTHONPATH, is an installed package with an entry point of `certkit.strategies`."""
    folder = tmp_path_factory.mktemp("plug-in")
    (folder / "misbehaving.py").write_text(PLUG_IN)
    info = folder / "misbehaving-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaving\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[certkit.strategies]\nmisbehaving = misbehaving:STRATEGIES\n")
    return folder


@pytest.fixture
def plug_ins(plug_in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The misbehaving strategies are registered, here and in worker processes."""
    from proofs.strategy import strategies

    path = os.pathsep.join([str(plug_in_folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.syspath_prepend(str(plug_in_folder))
    strategies.cache_clear()
    yield
    strategies.cache_clear()


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a job is an error: all of them are finished."""

    def start(*_: object) -> None:
        raise AssertionError("a finished job was started again")

    monkeypatch.setattr("proofs.sweep.pool.Process", start)
