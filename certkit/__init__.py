"""Sound tensors and checkable certificates. The public API, in reading order, imported on first use.

Importing this package imports neither torch nor numpy: the auditor runs where they are absent.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from certkit import cost as cost
    from certkit import elementary as elementary
    from certkit import environment as environment
    from certkit import linalg as linalg
    from certkit import relax as relax
    from certkit import rounding as rounding
    from certkit.affine import Affine as Affine
    from certkit.certificate import Certificate as Certificate
    from certkit.certificate import Claim as Claim
    from certkit.certificate import Estimate as Estimate
    from certkit.combining import combine as combine
    from certkit.combining import differences as differences
    from certkit.interval import Interval as Interval
    from certkit.interval import Overlap as Overlap
    from certkit.interval import cat as cat
    from certkit.interval import einsum as einsum
    from certkit.interval import stack as stack
    from certkit.interval import where as where
    from certkit.kernel import Verdict as Verdict
    from certkit.kernel import audit as audit
    from certkit.task import Task as Task

_HOME = {
    "Interval": "certkit.interval",
    "Overlap": "certkit.interval",
    "Affine": "certkit.affine",
    "cat": "certkit.interval",
    "einsum": "certkit.interval",
    "stack": "certkit.interval",
    "where": "certkit.interval",
    "Claim": "certkit.certificate",
    "Certificate": "certkit.certificate",
    "Estimate": "certkit.certificate",
    "Task": "certkit.task",
    "Verdict": "certkit.kernel",
    "audit": "certkit.kernel",
    "combine": "certkit.combining",
    "differences": "certkit.combining",
}
_MODULES = ("cost", "elementary", "environment", "linalg", "relax", "rounding")


def __getattr__(name: str) -> object:
    if name in _HOME:
        value: object = getattr(import_module(_HOME[name]), name)
    elif name in _MODULES:
        value = import_module(f"certkit.{name}")
    else:
        raise AttributeError(f"module 'certkit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_MODULES})
