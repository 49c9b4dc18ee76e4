"""Corrupted certificates, each of which an auditor must refuse."""

from certkit.testing.mutants.files import FileMutant, file_mutants, reseal

__all__ = ["FileMutant", "file_mutants", "reseal"]
