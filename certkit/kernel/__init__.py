"""The trusted auditor: decides certificates, with python-flint and the standard library alone."""

from certkit.kernel.audit import audit
from certkit.kernel.verdict import Verdict, kernel_sha256

__all__ = ["Verdict", "audit", "kernel_sha256"]
