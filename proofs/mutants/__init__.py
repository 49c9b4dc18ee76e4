"""Deliberately unsound variants of our own strategies, each of which the auditor must refuse."""

from proofs.mutants.files import file_table
from proofs.mutants.patching import Mutant, Planted
from proofs.mutants.producers import PRODUCERS
from proofs.mutants.rows import KillRow
from proofs.mutants.table import kill_table

__all__ = ["PRODUCERS", "KillRow", "Mutant", "Planted", "file_table", "kill_table"]
