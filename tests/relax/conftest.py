"""A test that takes ``device`` runs on the CPU, on a stand-in for a GPU, and on a GPU if there is one."""

from tests.arithmetic.devices import device

__all__ = ["device"]
