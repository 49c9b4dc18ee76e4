"""Every corrupted certificate file is refused by the auditor; the uncorrupted one is verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from certkit import kernel
from certkit.testing.mutants import file_mutants
from certkit.testing.mutants.edits import EDITS
from certkit.testing.mutants.pool_edits import POOL_EDITS
from certkit.testing.mutants.task_edits import TASK_EDITS
from proofs.mutants.files import SUBJECTS, write_control


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_mutant_is_refused_and_the_control_accepted(subject: str, tmp_path: Path) -> None:
    control, model = write_control(tmp_path, subject)
    assert kernel.audit(str(control), str(model)).exit_code == 0
    accepted, names = [], set()
    for mutant in file_mutants(control.read_bytes()):
        path = tmp_path / "mutant.cert"
        path.write_bytes(mutant.data)
        names.add(mutant.name)
        if kernel.audit(str(path), str(model)).exit_code == 0:
            accepted.append(mutant.name)
    assert accepted == []
    assert len(names) > 30


def test_every_edit_applies_somewhere(tmp_path: Path) -> None:
    seen: set[str] = set()
    for subject in SUBJECTS:
        control, _ = write_control(tmp_path, subject)
        seen |= {mutant.name for mutant in file_mutants(control.read_bytes())}
    assert EDITS.keys() | POOL_EDITS.keys() | TASK_EDITS.keys() <= seen
