"""The registry: names, globs, families, near names, plug-ins and what it refuses."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator

import attrs
import pytest

from proofs import strategy as registry
from proofs.brute_force import BruteForce
from proofs.cubic import Cubic
from proofs.strategy import Family, Semantics, StrategyError, find, parse_semantics, select, strategies


@pytest.fixture
def plug_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[importlib.metadata.EntryPoint]]:
    """Entry points that the registry finds besides the built-in ones."""
    found: list[importlib.metadata.EntryPoint] = []
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: tuple(found))
    strategies.cache_clear()
    yield found
    strategies.cache_clear()


def _entry(value: str) -> importlib.metadata.EntryPoint:
    return importlib.metadata.EntryPoint("test", value, registry.ENTRY_POINT_GROUP)


OUTSIDE = (attrs.evolve(Cubic(), name="outsider", family=Family.PLUG_IN),)
IMPOSTOR = (attrs.evolve(Cubic(), name="impostor"),)
TWICE = (attrs.evolve(Cubic(), family=Family.PLUG_IN),)
BAD_NAME = (attrs.evolve(Cubic(), name="no spaces", family=Family.PLUG_IN),)
RESERVED = (attrs.evolve(Cubic(), name="published", family=Family.PLUG_IN),)
BAD_VERSION = (attrs.evolve(Cubic(), name="old", version=0, family=Family.PLUG_IN),)


def test_own_strategies_are_found() -> None:
    assert isinstance(find("brute-force"), BruteForce)
    assert isinstance(find("cubic"), Cubic)


def test_every_strategy_describes_itself() -> None:
    for strategy in strategies():
        assert strategy.description
        assert "\n" not in strategy.description
        assert attrs.has(strategy.witness_type)


def test_globs_families_and_order() -> None:
    names = [strategy.name for strategy in select(["c?bic", "brute*", "cubic"])]
    assert names == ["brute-force", "cubic"]
    published = {strategy.name for strategy in select(["published"])}
    assert {"brute-force", "cubic"} <= published <= {strategy.name for strategy in select(["all"])}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cubick", "did you mean 'cubic'"),
        ("brute_force", "did you mean 'brute-force'"),
        ("zzzzzzz", "certkit strategies lists them all"),
        ("x*", "unknown strategy 'x*'"),
        ("", "unknown strategy ''"),
    ],
)
def test_unknown_names_suggest_near_ones(name: str, message: str) -> None:
    with pytest.raises(StrategyError) as error:
        select([name])
    assert message in str(error.value)
    with pytest.raises(StrategyError) as error:
        find(name)
    assert message in str(error.value)


def test_unknown_semantics() -> None:
    with pytest.raises(StrategyError, match="unknown semantics 'bf16'; use real or float32"):
        parse_semantics("bf16")


def test_a_plug_in_is_found(plug_ins: list[importlib.metadata.EntryPoint]) -> None:
    plug_ins.append(_entry(f"{__name__}:OUTSIDE"))
    assert find("outsider").family is Family.PLUG_IN
    assert [strategy.name for strategy in select(["plug-in"])] == ["outsider"]


@pytest.mark.parametrize(
    ("offered", "message"),
    [
        ("IMPOSTOR", "only they do"),
        ("TWICE", "two strategies are called 'cubic'"),
        ("BAD_NAME", "bad strategy name 'no spaces'"),
        ("RESERVED", "reserved words"),
        ("BAD_VERSION", "has version 0"),
        ("NOTHING_HERE", "repair or uninstall that package"),
    ],
)
def test_bad_plug_ins_are_named(
    plug_ins: list[importlib.metadata.EntryPoint], offered: str, message: str
) -> None:
    plug_ins.append(_entry(f"{__name__}:{offered}"))
    with pytest.raises(StrategyError, match=message):
        strategies()


def test_a_plug_in_that_cannot_be_imported(plug_ins: list[importlib.metadata.EntryPoint]) -> None:
    plug_ins.append(_entry("no_such_module_anywhere:STRATEGIES"))
    with pytest.raises(StrategyError, match="no_such_module_anywhere"):
        strategies()


def test_semantics_are_told_apart(plug_ins: list[importlib.metadata.EntryPoint]) -> None:
    plug_ins.append(_entry(f"{__name__}:OUTSIDE"))
    with pytest.raises(StrategyError, match="does not prove under semantics float32; it does under real"):
        find("outsider", Semantics.FLOAT32)
