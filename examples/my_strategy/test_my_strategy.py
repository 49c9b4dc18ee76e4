"""What a strategy must pass: the laws, a proof that audits, and one bound it should reach."""

from pathlib import Path

from my_strategy import STRATEGIES

import certkit
import proofs
from certkit.testing import check_strategy

(STRATEGY,) = STRATEGIES


def test_no_law_is_broken() -> None:
    """Against the zoo of models made to fool provers, with hostile witnesses: minutes."""
    report = check_strategy(STRATEGY)
    assert report.ok, str(report)


def test_a_trained_model_is_certified_and_audited(tmp_path: Path) -> None:
    recipe = proofs.Recipe(n_ctx=3, vocab=8, steps=400)
    path = proofs.train_into(tmp_path, recipe, [0])[0]
    certificate = proofs.prove(proofs.load_model(path), STRATEGY.name)
    certificate.save(tmp_path / "proof.cert")
    assert certkit.audit(str(tmp_path / "proof.cert"), str(path)).verdict == "verified"
    assert certificate.claim.correct_at_least > 0
