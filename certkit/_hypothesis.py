"""What Hypothesis learns of this package when it is imported: strategies for our types, and profiles.

Hypothesis calls `register` through the entry point ``hypothesis``. It must cost nothing where certkit
happens to be installed but is not used, and must not fail where torch is missing: a type is registered when
its module is there, at once or right after it is imported, and its strategy is imported when it is first
asked for.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

__all__ = ["register", "register_profiles", "register_types"]

_STRATEGIES = "certkit.testing.strategies"
_TYPES = (
    ("certkit.interval", "Interval", f"{_STRATEGIES}:intervals"),
    ("certkit.certificate", "Certificate", f"{_STRATEGIES}:certificates"),
    ("certkit.certificate", "CertifiedSet", f"{_STRATEGIES}:contents"),
    ("certkit.testing.zoo", "Specimen", f"{_STRATEGIES}:specimens"),
    ("certkit.testing.models", "Sizes", f"{_STRATEGIES}:sizes"),
)


def register() -> None:
    """Register our types, and the profiles ``certkit-dev``, ``certkit-ci`` and ``certkit-soak``."""
    register_types(_TYPES)
    register_profiles("certkit-")


def register_profiles(prefix: str = "") -> None:
    """Register profiles under these names: ``dev`` for quick runs, ``ci`` repeatable, ``soak`` for hours.

    A case is often a whole tensor, so none has a deadline, and none calls large data unhealthy.
    """
    from hypothesis import HealthCheck, settings

    large = [HealthCheck.too_slow, HealthCheck.data_too_large]
    calm = settings(deadline=None, suppress_health_check=large)
    settings.register_profile(f"{prefix}dev", calm, max_examples=25)
    settings.register_profile(f"{prefix}ci", calm, max_examples=50, derandomize=True)
    settings.register_profile(f"{prefix}soak", calm, max_examples=2000)


def register_types(types: Iterable[tuple[str, str, str]]) -> None:
    """Register ``(module, class, "module:function that makes the strategy")``, importing none of them."""
    for module, name, strategy in types:
        if module in sys.modules:
            _register_type(sys.modules[module], name, strategy)
        else:
            _AFTER_IMPORT.wait_for(module, name, strategy)


def _register_type(module: ModuleType, name: str, strategy: str) -> None:
    from hypothesis import strategies as st

    def make(_: type[Any]) -> st.SearchStrategy[Any]:
        source, function = strategy.split(":")
        found: st.SearchStrategy[Any] = getattr(importlib.import_module(source), function)()
        return found

    st.register_type_strategy(getattr(module, name), make)


class _AfterImport(MetaPathFinder):
    """Finds modules where they are, and has something done when they have been imported."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[str, str]]] = {}

    def wait_for(self, module: str, name: str, strategy: str) -> None:
        self._waiting.setdefault(module, []).append((name, strategy))
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        types = self._waiting.pop(fullname, None)
        if types is None:
            return None
        if not self._waiting:
            sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None  # somebody else may find it; its types stay unknown

        def finish(module: ModuleType) -> None:
            for name, strategy in types:
                _register_type(module, name, strategy)

        spec.loader = _Finishing(spec.loader, finish)
        return spec


class _Finishing(Loader):
    """Loads with another loader, which takes its place again, and then does one thing more."""

    def __init__(self, loader: Loader, finish: Callable[[ModuleType], None]) -> None:
        self._loader, self._finish = loader, finish

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._finish(module)


_AFTER_IMPORT = _AfterImport()
