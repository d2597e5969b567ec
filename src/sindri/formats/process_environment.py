"""What the environment of a container can carry, whatever the target is, and the names that mean something there.

Limits are those of execve(2), "Limits on size of arguments and environment", less what is lost on the way into a
container. For a program that is started here the room `process` checks by itself.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_STRING_BYTES = 131_072
"""MAX_ARG_STRLEN with pages of 4 KiB: `NAME=value` and its final NUL together. Applied on every system."""

POINTER_BYTES = 8
"""What the kernel counts for each string beside its bytes."""

_WAY_OUT = 'Use "source: file" with a mountPath.'

WARNED_NAMES = frozenset(("PATH", "HOME", "LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "IFS", "SHELL", "USER"))
"""Names of variables that change what a started program is or does: legal for a secret, and hardly ever meant."""

RESERVED_NAMES = frozenset(
    "ADDITIONAL_EXTENSIONS CI_MODE CUSTOM_EXTENSIONS DEV_USER E2B_PROVIDER INIT_WORKSPACE INSTALL_PROFILE "
    "SINDRI_SOURCE_REF SKIP_AUTO_INSTALL SSH_PORT TZ".split()
)
"""Names that Sindri itself may set in a container: what it sets wins there over a secret, and nobody says so."""

RESERVED_PREFIXES = ("SINDRI_DIND_",)
"""The same, for what begins so."""

CONTAINER_LIMIT_BYTES = 1_900_000
"""For all variables of a container together. The kernel's limit is a quarter of the stack's, 2 MiB where nobody changed
it; the rest is for the image's own variables and the command."""

# Table 3-7 of the Unicode standard. A bounded count, because each repetition costs the matcher memory.
_UTF8 = (
    rb"(?:[\x00-\x7f]++|[\xc2-\xdf][\x80-\xbf]"
    rb"|(?:\xe0[\xa0-\xbf]|\xed[\x80-\x9f]|[\xe1-\xec\xee\xef][\x80-\xbf])[\x80-\xbf]"
    rb"|(?:\xf0[\x90-\xbf]|\xf4[\x80-\x8f]|[\xf1-\xf3][\x80-\xbf])[\x80-\xbf]{2}){1,1000}"
)


def container_refusal(name: str, value: bytes | memoryview, *, carrier: str) -> str | None:
    """Return the message that says why no container can have *value* as variable *name*, or None.

    *carrier* is the target's name, such as `Docker Compose`: what lies between us and the container is JSON or
    protocol buffers, and would put U+FFFD in the place of what is not text. The message holds nothing of the value.
    """
    import re  # not at the top: `run` needs this module's names and not this

    if is_reserved(name):
        return f"Secret {name} has the same name as a variable Sindri sets itself."
    if re.search(rb"\0", value):
        return f"Secret {name} cannot be an environment variable: it contains a NUL byte. {_WAY_OUT}"
    if _string_bytes(name.encode(), value) > LONGEST_STRING_BYTES:
        return (
            f"Secret {name} is {len(value)} bytes; Linux allows at most {LONGEST_STRING_BYTES - 1} for NAME=VALUE. "
            f"{_WAY_OUT}"
        )
    place = 0
    while place < len(value):
        match = re.compile(_UTF8).match(value, place)  # decoding would tell as well, and leave a copy
        if match is None:
            return f'Secret {name} is not valid UTF-8 text; {carrier} carries text only. Use "source: file".'
        place = match.end()
    return None


def container_total_refusal(sizes: Iterable[int]) -> str | None:
    """Return the message that says why no container can have all these variables together, or None.

    *sizes* holds the length in bytes of each `NAME=VALUE`.
    """
    total_bytes = sum(size + 1 + POINTER_BYTES for size in sizes)
    if total_bytes <= CONTAINER_LIMIT_BYTES:
        return None
    return (
        f"The variables of the container need {total_bytes} bytes together; Linux allows about "
        f'{CONTAINER_LIMIT_BYTES}. Use "source: file" with a mountPath for the largest.'
    )


def is_reserved(name: str) -> bool:
    """Return whether Sindri itself may set a variable of this name in a container."""
    return name in RESERVED_NAMES or name.startswith(RESERVED_PREFIXES)


def _string_bytes(name: bytes, value: bytes | memoryview) -> int:
    return len(name) + 1 + len(value) + 1
