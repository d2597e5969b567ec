"""JSON strings and one flat JSON object (RFC 8259), without importing `json`, which costs 7 ms."""

from __future__ import annotations

from sindri.errors import UnrepresentableValueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# RFC 8259, section 7: the quotation mark, the backslash and U+0000 to U+001F must be escaped, nothing else.
_ESCAPES = {code: f"\\u{code:04x}" for code in range(0x20)} | {
    0x08: "\\b",
    0x09: "\\t",
    0x0A: "\\n",
    0x0C: "\\f",
    0x0D: "\\r",
    0x22: '\\"',
    0x5C: "\\\\",
}


def refusal(name: str, value: bytes) -> str | None:
    """Return why *value* cannot stand in JSON under *name*, or None. The reason holds nothing of the value."""
    if not (name.isascii() and name.isidentifier()):
        return "the name is not made of A-Z a-z 0-9 _, or begins with a digit"
    try:
        value.decode()
    except UnicodeDecodeError:
        return "it is not valid UTF-8, and JSON holds text only"
    return None


def render(items: Sequence[tuple[str, bytes]]) -> bytes:
    """Return one JSON object, name to string, in the given order, as UTF-8 with a final newline.

    Raises:
        UnrepresentableValueError: JSON cannot hold one of the values.
    """
    for name, value in items:
        reason = refusal(name, value)
        if reason is not None:
            raise UnrepresentableValueError(f"Secret {name} cannot be written as JSON: {reason}.")
    if not items:
        return b"{}\n"
    members = b",\n".join(b'  "%b": %b' % (name.encode(), render_string(value)) for name, value in items)
    return b"{\n%b\n}\n" % members


def render_string(value: bytes) -> bytes:
    """Return *value*, which is valid UTF-8, as a JSON string with its quotes.

    Raises:
        UnicodeDecodeError: it is not valid UTF-8.
    """
    return b'"%b"' % value.decode().translate(_ESCAPES).encode()
