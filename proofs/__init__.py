"""Max-of-K in certkit's terms: models, training, strategies and the study.

Everything public is re-exported here and loaded when first used, so that ``import proofs`` costs nothing.

>>> import proofs
>>> proofs.Model.__module__
'proofs.model'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proofs.model import Model as Model
    from proofs.model import ModelError as ModelError
    from proofs.model import load_model as load_model
    from proofs.model import save_model as save_model

_HOME: Final[dict[str, str]] = {
    "Model": "proofs.model",
    "ModelError": "proofs.model",
    "load_model": "proofs.model",
    "save_model": "proofs.model",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'proofs' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
