"""The answer of an audit."""

from __future__ import annotations

from dataclasses import dataclass

#: Exit code of each verdict.
EXIT_CODES = {"verified": 0, "refuted": 1, "refused": 2, "undecided": 3, "sampled": 3}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the auditor found, and where.

    Attributes:
        verdict: ``verified``, ``refuted``, ``refused`` (unreadable), ``undecided`` or ``sampled``.
        rule: the rule that decided, for example ``cell`` or ``digest``.
        where: the place in the certificate that decided, in words; empty when verified.
        audited_correct: the number of sequences this audit proved correct (the claim, when verified).
        total: the number of all sequences (0 if the statement could not be read).
        sampled: None for a full audit, else (classes decided, classes in the certificate).
        precision_bits: the highest working precision that was needed.
        seconds: wall time.
        counterexample: a misclassified sequence of a certified set (query last), if one was found.
        kernel_sha256: digest of the auditor's own source files.
    """

    verdict: str
    rule: str
    where: str
    audited_correct: int
    total: int
    sampled: tuple[int, int] | None
    precision_bits: int
    seconds: float
    counterexample: tuple[int, ...] | None
    kernel_sha256: str

    @property
    def exit_code(self) -> int:
        """0 verified, 1 refuted, 2 refused, 3 undecided or sampled."""
        return EXIT_CODES[self.verdict]
