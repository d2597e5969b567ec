"""What the environment of a container can carry, whatever engine or service runs it.

The transports are JSON and protocol buffers, which hold text; the kernel below them limits sizes (execve(2)).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_BYTES = 131_071
"""MAX_ARG_STRLEN of Linux without the final NUL, for `NAME=VALUE`."""

LARGEST_TOTAL_BYTES = 1_900_000
"""About what a process can be started with under the usual stack limit of 8 MB: a quarter of it, less argv."""

_RESERVED = frozenset(
    (
        "INIT_WORKSPACE",
        "INSTALL_PROFILE",
        "CUSTOM_EXTENSIONS",
        "ADDITIONAL_EXTENSIONS",
        "SKIP_AUTO_INSTALL",
        "SINDRI_SOURCE_REF",
        "DEV_USER",
        "SSH_PORT",
        "TZ",
        "CI_MODE",
        "E2B_PROVIDER",
    )
)
_RESERVED_PREFIX = "SINDRI_DIND_"


def refusal(name: str, value: bytes) -> str | None:
    """Return why no container can get *value* as *name*, or None. The sentence holds nothing of the value."""
    if name in _RESERVED or name.startswith(_RESERVED_PREFIX):
        # What the generated files set wins silently over the env file.
        return f"Secret {name} has the same name as a variable Sindri sets itself."
    if b"\0" in value:
        return (
            f"Secret {name} cannot be an environment variable: it contains a NUL byte."
            ' Use "source: file" with a mountPath.'
        )
    try:
        value.decode()
    except UnicodeDecodeError:
        return f'Secret {name} is not valid UTF-8 text; containers carry text only. Use "source: file".'
    size_bytes = len(name) + 1 + len(value)
    if size_bytes > LONGEST_BYTES:
        return (
            f"Secret {name} is {size_bytes} bytes; Linux allows at most {LONGEST_BYTES} for NAME=VALUE."
            ' Use "source: file".'
        )
    return None


def total_refusal(sizes: Iterable[tuple[str, int]]) -> str | None:
    """Return why these names with values of these lengths cannot be given together, or None."""
    total_bytes = sum(len(name) + 2 + size_bytes for name, size_bytes in sizes)
    if total_bytes <= LARGEST_TOTAL_BYTES:
        return None
    return (
        f"The environment would be {total_bytes} bytes; Linux allows about {LARGEST_TOTAL_BYTES} in all."
        ' Use "source: file" for the largest secrets.'
    )
