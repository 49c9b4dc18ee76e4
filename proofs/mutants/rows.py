"""What is written down about each mutant."""

from __future__ import annotations

import attrs


@attrs.frozen
class KillRow:
    """What became of one mutant.

    Attributes:
        mutant: its name.
        kind: ``producer``, ``file as edited`` or ``file re-sealed``.
        refused: whether the auditor refused it.
        specimen: the model it was tried on; empty if it certified nothing false on any.
        verdict: the auditor's word there.
        rule: the rule that decided.
        control: whether the uncorrupted certificate of the same model was verified.
    """

    mutant: str
    kind: str
    refused: bool
    specimen: str
    verdict: str
    rule: str
    control: bool
