"""The env file that Docker Compose reads: `env_file` in its default format.

The reader is compose-go's `dotenv` package. One encoding is read alike by every release since Compose 2.11.2: double
quotes, octal for what older releases misread after a backslash, `$$` for a dollar that would be interpolated.
"""

from __future__ import annotations

from sindri.errors import UnrepresentableValueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# In this order: the replacements bring backslashes of their own. Before Compose 2.20 `\\"` at the end of a value was
# read as an escaped quote, so neither `\\` nor `\"` is ever written.
_REPLACEMENTS = ((b"\\", b"\\0134"), (b'"', b"\\0042"), (b"$", b"$$"), (b"\n", b"\\n"), (b"\r", b"\\r"))


def escape_interpolation(text: str) -> str:
    """Return *text* as it must stand in a compose file, where `$` begins a variable (compose-spec, "Interpolation")."""
    return text.replace("$", "$$")


def refusal(name: str, value: bytes) -> str | None:
    """Return why Compose cannot read *value* back, or None. The reason holds nothing of the value."""
    if not (name.isascii() and name.isidentifier()):
        return "the name is not made of A-Z a-z 0-9 _, or begins with a digit"
    if b"\0" in value:
        return "it contains a NUL byte, which no environment variable can hold"
    try:
        value.decode()
    except UnicodeDecodeError:
        return "it is not valid UTF-8, and Compose carries text only"
    return None


def render(items: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the file: one line for each secret, whatever is in its value.

    Raises:
        UnrepresentableValueError: a value cannot be written; `refusal` says which and why.
    """
    lines = []
    for name, value in items:
        reason = refusal(name, value)
        if reason is not None:
            raise UnrepresentableValueError(f"Cannot write {name} for Docker Compose: {reason}")
        for plain, escaped in _REPLACEMENTS:
            value = value.replace(plain, escaped)  # noqa: PLW2901 -- one value, step by step
        lines.append(b'%b="%b"\n' % (name.encode("ascii"), value))
    return b"".join(lines)
