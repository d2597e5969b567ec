"""Finds the manifest and reads it from the disk: opened once, for reading only."""

from __future__ import annotations

import os
import stat

from sindri.errors import ManifestError
from sindri.manifest.loader import MAX_BYTES, parse_manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sindri.model import Manifest

FILE_NAME = "sindri.yaml"

# Not there on Windows, where neither FIFOs nor terminals can be opened by such a name.
_NOT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
_FLAGS = os.O_RDONLY | _NOT_WAITING | getattr(os, "O_BINARY", 0)

_KINDS = (
    (stat.S_ISDIR, "it is a directory"),
    (stat.S_ISFIFO, "it is a pipe, not a file"),
    (stat.S_ISCHR, "it is a device, not a file"),
    (stat.S_ISBLK, "it is a device, not a file"),
    (stat.S_ISSOCK, "it is a socket, not a file"),
)


def load_manifest(path: str | os.PathLike[str] | None = None) -> Manifest:
    """Return the manifest at *path*, or the one that `find_manifest` finds from the current folder.

    Raises:
        ManifestError: there is none, it cannot be read, or it says something that cannot be done.
    """
    if path is None:
        absolute = find_manifest(_current_folder())
        display = os.path.relpath(absolute)
    else:
        display = os.fspath(path)
        if not isinstance(display, str):
            raise TypeError("the path of a manifest is text")
        absolute = os.path.abspath(display)
    return parse_manifest(_read(absolute, display), path=absolute, display=display)


def find_manifest(start: str) -> str:
    """Return the path of the nearest `sindri.yaml`: in the folder *start*, else in its parents.

    The search ends with the folder that holds `.git`, or with the home folder: beyond it begins somebody else's.

    Raises:
        ManifestError: there is none.
    """
    folder = os.path.abspath(start)
    home = os.path.expanduser("~")
    homes = (home, os.path.realpath(home))
    looked = []
    while True:
        candidate = os.path.join(folder, FILE_NAME)
        # A link to nothing or a directory of that name is somebody's mistake: it is found, and reading it says so.
        if os.path.lexists(candidate):
            return candidate
        looked.append(folder)
        parent = os.path.dirname(folder)
        if parent == folder or folder in homes or os.path.lexists(os.path.join(folder, ".git")):
            break
        folder = parent
    raise ManifestError(
        f"No {FILE_NAME} found",
        note="\n".join(f"looked in {folder}" for folder in looked),
        hint="`sindri init` writes one, `--config FILE` names another",
    )


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        raise ManifestError(f"No {FILE_NAME} found: the current folder does not exist any more") from None


def _read(path: str, display: str) -> bytes:
    """Return the file's bytes, at most one more than a manifest may have."""
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        raise _unreadable(error, path, display) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kind = next((text for is_kind, text in _KINDS if is_kind(mode)), "it is not a file")
            raise ManifestError(f"Cannot read {display}: {kind}")
        parts = []
        left = MAX_BYTES + 1
        while left > 0:
            part = os.read(descriptor, left)
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    except OSError as error:
        raise _unreadable(error, path, display) from None
    finally:
        os.close(descriptor)


def _unreadable(error: OSError | ValueError, path: str, display: str) -> ManifestError:
    if isinstance(error, ValueError):
        return ManifestError("Cannot read the manifest: its path holds a NUL character")
    if isinstance(error, FileNotFoundError):
        if os.path.islink(path):
            return ManifestError(f"Cannot read {display}: it is a link to a file that does not exist")
        hint = "`sindri init` writes one in the current folder"
        return ManifestError(f"Manifest not found: {display}", hint=hint)
    if os.path.isdir(path):  # Windows does not open directories
        return ManifestError(f"Cannot read {display}: it is a directory")
    import errno

    reasons = {
        errno.EACCES: "permission denied",
        errno.EPERM: "permission denied",
        errno.ELOOP: "its links lead in a circle",
        errno.ENXIO: "it is a socket or a device, not a file",
        errno.ENOTDIR: "a part of its path is not a directory",
        errno.ENAMETOOLONG: "its path is too long",
    }
    reason = reasons.get(error.errno or 0) or error.strerror or type(error).__name__
    return ManifestError(f"Cannot read {display}: {reason}")
