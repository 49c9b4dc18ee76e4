"""Attacking certificates: search in floats, decide exactly."""

from proofs.attack.search import AttackReport, Counterexample, attack

__all__ = ["AttackReport", "Counterexample", "attack"]
