"""The trusted auditor: decides certificates, with python-flint and the standard library alone."""

from certkit.kernel.audit import audit
from certkit.kernel.verdict import Verdict

__all__ = ["Verdict", "audit"]
