"""Certificates by content: one compressed file for each statement with its proof, named by its digest."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import attrs

from certkit.atomic import write_atomically
from certkit.certificate import Certificate
from certkit.fileformat import encode


@attrs.frozen
class Store:
    """A folder of certificates, ``ab/abcd….cert.gz``.

    The name is the digest of statement and proof, without the producer's remarks: the same proof made twice
    (by another worker, or again after a crash) is one file. Files are complete or absent.
    """

    folder: Path

    def path(self, digest: str) -> Path:
        """Where the certificate of this digest is, or would be."""
        return self.folder / digest[:2] / f"{digest}.cert.gz"

    def add(self, certificate: Certificate) -> str:
        """Keep ``certificate`` and return its digest.

        Raises:
            OSError: the folder cannot be written or the disk is full.
        """
        data = encode(certificate)
        digest = str(json.loads(data)["digest"])
        self.add_compressed(digest, gzip.compress(data, mtime=0))
        return digest

    def add_compressed(self, digest: str, data: bytes) -> None:
        """Keep the compressed file of a certificate, unless it is there already."""
        if not self.path(digest).exists():
            write_atomically(self.path(digest), data)

    def read(self, digest: str) -> bytes:
        """The certificate file: what `certkit audit` reads.

        Raises:
            OSError: it is not there or cannot be read.
        """
        return gzip.decompress(self.path(digest).read_bytes())

    def digests(self) -> set[str]:
        """All certificates kept here."""
        return {path.name.removesuffix(".cert.gz") for path in self.folder.glob("??/*.cert.gz")}
