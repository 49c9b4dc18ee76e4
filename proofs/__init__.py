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
    from proofs.proving import prove as prove
    from proofs.proving import prove_many as prove_many
    from proofs.task import Task as Task
    from proofs.task import TaskError as TaskError
    from proofs.task import renamed as renamed
    from proofs.task import restated as restated
    from proofs.training import Recipe as Recipe
    from proofs.training import train as train
    from proofs.training import train_into as train_into
    from proofs.transformer_lens import Layout as Layout
    from proofs.transformer_lens import from_transformer_lens as from_transformer_lens
    from proofs.transformer_lens import load_transformer_lens as load_transformer_lens

_HOME: Final[dict[str, str]] = {
    "Model": "proofs.model",
    "ModelError": "proofs.model",
    "load_model": "proofs.model",
    "save_model": "proofs.model",
    "prove": "proofs.proving",
    "prove_many": "proofs.proving",
    "Task": "proofs.task",
    "TaskError": "proofs.task",
    "renamed": "proofs.task",
    "restated": "proofs.task",
    "Recipe": "proofs.training",
    "train": "proofs.training",
    "train_into": "proofs.training",
    "Layout": "proofs.transformer_lens",
    "from_transformer_lens": "proofs.transformer_lens",
    "load_transformer_lens": "proofs.transformer_lens",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'proofs' has no attribute {name!r}; it has {', '.join(sorted(_HOME))}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
