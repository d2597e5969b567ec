"""`set -gx` lines for fish, for `| source` as well as `eval (...)`."""

from __future__ import annotations

from sindri.errors import UnrepresentableValueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# fish's "Quotes": within single quotes only \' and \\ mean something else. Everything but printable ASCII stands
# outside of them as \XHH, one raw byte: then neither the locale nor the splitting of `(...)` at newlines has a say.
_ESCAPES = tuple(bytes([byte]) if 0x20 <= byte < 0x7F else b"'\\X%02x'" % byte for byte in range(256))

# Read-only in fish 3.6, or changing by itself. Found by assigning to every variable that fish defines.
_OWNED = frozenset(
    "_ FISH_VERSION PWD SHLVL fish_kill_signal fish_killring fish_pid history hostname pipestatus status "
    "status_generation umask version".split()
)
# fish keeps these as lists and writes "." for an empty element.
_PATH_LISTS = ("PATH", "CDPATH")


def refusal(name: str, value: bytes) -> str | None:
    """Return why *value* cannot be given to fish as *name*, or None. The reason holds nothing of the value."""
    if not (name.isascii() and name.isidentifier()):
        return "the name is not made of A-Z a-z 0-9 _, or begins with a digit"
    if name in _OWNED:
        return "fish keeps a variable of this name for itself"
    if b"\0" in value:
        return "it contains a NUL byte, which no environment variable can hold"
    if name in _PATH_LISTS and b"" in value.split(b":"):
        return f'it has an empty element, for which fish puts "." into {name}'
    return None


def render(items: Sequence[tuple[str, bytes]]) -> bytes:
    """Return one `set -gx NAME '...'` line of ASCII for each item.

    Raises:
        UnrepresentableValueError: fish cannot hold one of the values.
    """
    return b";\n".join(_assignment(name, value) for name, value in items) + b"\n" if items else b""


def _assignment(name: str, value: bytes) -> bytes:
    reason = refusal(name, value)
    if reason is not None:
        raise UnrepresentableValueError(f"Secret {name} cannot be exported to fish: {reason}.")
    # In this order: the escapes of other bytes bring quotes and backslashes of their own.
    text = value.replace(b"\\", b"\\\\").replace(b"'", b"\\'")
    return b"set -gx %b '%b'" % (name.encode(), b"".join(map(_ESCAPES.__getitem__, text)))
