"""The answer of an audit, and the finding that ends one."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

#: Exit code of each verdict.
EXIT_CODES = {"verified": 0, "refuted": 1, "refused": 2, "undecided": 3, "sampled": 3}
#: Working precisions in bits. Any of them is sound; more of them make the enclosures narrower.
PRECISIONS = (64, 128, 256, 512, 1024, 2048, 4096)
WIDE = 1 << 53  # integers beyond it are strings in JSON


@cache
def kernel_sha256() -> str:
    """SHA-256 over the auditor's source files in name order: name, NUL, bytes, NUL."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@dataclass(eq=False)
class Finding(Exception):
    """What ends an audit: the verdict, the rule that decided, the place, a counterexample."""

    verdict: str
    rule: str
    where: str
    counterexample: tuple[int, ...] | None = None


@dataclass(slots=True)
class Verdict:
    """What the auditor found, and where.

    Attributes:
        verdict: ``verified``, ``refuted``, ``refused`` (unreadable), ``undecided`` or ``sampled``.
        rule: the rule that decided, for example ``cell`` or ``digest``.
        where: the place in the certificate that decided, in words; empty when verified.
        audited_correct: the number of sequences this audit proved correct (the claim, when verified).
        total: the number of all sequences (0 if the statement could not be read).
        sampled: None for a full audit, else (classes decided, classes in the certificate).
        precision_bits: the highest working precision that a class proved correct needed.
        seconds: wall time.
        counterexample: a misclassified sequence of a certified set (query last), if one was found.
        kernel_sha256: digest of the auditor's own source files.
        task: None for max-of-k (or an unread file), else the `order` and `labels` the claim is about.
    """

    verdict: str = "undecided"
    rule: str = ""
    where: str = ""
    audited_correct: int = 0
    total: int = 0
    sampled: tuple[int, int] | None = None
    precision_bits: int = PRECISIONS[0]
    seconds: float = 0.0
    counterexample: tuple[int, ...] | None = None
    kernel_sha256: str = field(default_factory=kernel_sha256)
    task: dict[str, tuple[int, ...]] | None = None

    def end(self, finding: Finding) -> None:
        """Take over what ended the audit; a task's counterexample in its own tokens, not by their rank."""
        self.verdict, self.rule, self.where = finding.verdict, finding.rule, finding.where[:300]
        self.counterexample = finding.counterexample
        if self.task and finding.counterexample is not None:
            self.counterexample = tuple(self.task["order"][rank] for rank in finding.counterexample)

    @property
    def exit_code(self) -> int:
        """0 verified, 1 refuted, 2 refused, 3 undecided or sampled."""
        return EXIT_CODES[self.verdict]

    def as_json(self) -> dict[str, object]:
        """The fields for one JSON line; integers above 2⁵³ as strings, no task if it is max-of-k."""
        fields = {name: value for name, value in asdict(self).items() if name != "task" or value is not None}
        for name in ("audited_correct", "total"):
            fields[name] = fields[name] if fields[name] <= WIDE else str(fields[name])
        return fields
