"""Test oracles and tiny models; independent of the code under test."""
