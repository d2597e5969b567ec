"""What the environment of a process can carry on Linux: execve(2), "Limits on size of arguments and environment"."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_STRING_BYTES = 131_072
"""MAX_ARG_STRLEN with pages of 4 KiB: `NAME=value` and its final NUL together. Applied on every system."""

POINTER_BYTES = 8
"""What the kernel counts for each string beside its bytes."""

RESERVE_BYTES = 2 * 4096
"""Room for what the kernel adds by itself: the program's path and, for a script, that of its interpreter."""

HINT = 'use "source: file" with a mountPath'
"""The way out for a value that an environment cannot carry."""

WARNED_NAMES = frozenset(("PATH", "HOME", "LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "IFS", "SHELL", "USER"))
"""Names of variables that change what a started program is or does: legal for a secret, and hardly ever meant."""


def refusal(name: str, value: bytes) -> str | None:
    """Return why `execve` cannot carry *name* with *value*, or None. The reason holds nothing of the value."""
    if not name or "=" in name or "\0" in name:
        return "no environment variable can have this name"
    if b"\0" in value:
        return "it contains a NUL byte, which no environment variable can hold"
    size_bytes = _string_bytes(name.encode("utf-8", "surrogateescape"), value)
    if size_bytes > LONGEST_STRING_BYTES:
        return f"it is {len(value)} bytes; Linux allows at most {LONGEST_STRING_BYTES - 1} for NAME=VALUE"
    return None


def total_refusal(
    pairs: Iterable[tuple[bytes, bytes]], *, limit_bytes: int, arguments: Iterable[bytes] = ()
) -> str | None:
    """Return why a process cannot be started with *pairs* as its whole environment, or None.

    *pairs* holds the inherited variables too. *limit_bytes* is `os.sysconf("SC_ARG_MAX")`, which *arguments*, the
    command's, share with the environment.
    """
    total_bytes = RESERVE_BYTES + sum(_string_bytes(name, value) + POINTER_BYTES for name, value in pairs)
    total_bytes += sum(len(argument) + 1 + POINTER_BYTES for argument in arguments)
    if total_bytes > limit_bytes:
        return f"environment and arguments need {total_bytes} bytes together; this system allows {limit_bytes}"
    return None


def _string_bytes(name: bytes, value: bytes) -> int:
    return len(name) + 1 + len(value) + 1
