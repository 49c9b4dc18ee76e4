"""Certificates and models for tests of the auditor: made by hand, edited, sealed again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from certkit.certificate import Certificate, CertifiedSet, Claim
from certkit.content import Content
from certkit.fileformat import encode, seal
from proofs.model import Model, save_model
from tests.support.exact import Oracle


def weights_of(model: Model) -> dict[str, list[list[float]]]:
    """The model's numbers as plain lists."""
    return {
        name: getattr(model, name).tolist() for name in ("W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_U")
    }


def oracle_of(model: Model) -> Oracle:
    """The exact oracle of a tiny model."""
    return Oracle(weights_of(model))


def saved(model: Model, folder: Path, name: str = "model.safetensors") -> str:
    """Write the model and return its path."""
    save_model(model, folder / name)
    return str(folder / name)


def certificate(
    model: Model, entries: Sequence[Content], upper: bool = False, semantics: str = "real"
) -> Certificate:
    """The certificate that claims exactly what the entries add up to."""
    content = CertifiedSet(model.n_ctx, model.vocab, tuple(entries))
    claim = Claim(
        model.n_ctx,
        model.vocab,
        model.sha256,
        content.correct_at_least,
        content.correct_at_most if upper else None,
        semantics,
    )
    return Certificate(claim, "by-hand", 1, content)


def document(cert: Certificate) -> dict[str, Any]:
    """The certificate as the JSON object in its file, to be edited."""
    loaded: dict[str, Any] = json.loads(encode(cert))
    return loaded


def write(data: bytes | dict[str, Any], folder: Path, name: str = "x.cert") -> str:
    """Write bytes, or an edited object sealed again with correct digests, and return the path."""
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else seal(data))
    return str(path)
