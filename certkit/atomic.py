"""Files that are complete or absent: written beside their destination, flushed, then renamed over it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader, or a crash, sees the old file or the new one.

    Missing parent folders are made. The temporary file is in the destination's folder, is named
    ``.NAME.*.tmp``, and is removed if the write fails.

    Raises:
        OSError: the folder cannot be written or the disk is full; ``path`` is then as it was.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder) / "new" / "note.txt", b"done")
    ...     (Path(folder) / "new" / "note.txt").read_bytes()
    b'done'
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _umask() -> int:
    """The process's file-mode mask (readable only by setting it)."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
