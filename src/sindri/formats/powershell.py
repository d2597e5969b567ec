"""`$env:NAME = ...` lines for PowerShell. Built by its rules; no test here runs PowerShell."""

from __future__ import annotations

from binascii import b2a_base64

from sindri.errors import UnrepresentableValueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PRINTABLE = bytes(range(0x20, 0x7F))


def refusal(name: str, value: bytes) -> str | None:
    """Return why *value* cannot be given to PowerShell as *name*, or None. The reason holds nothing of the value."""
    if not (name.isascii() and name.isidentifier()):
        return "the name is not made of A-Z a-z 0-9 _, or begins with a digit"
    if b"\0" in value:
        return "it contains a NUL byte, which no environment variable can hold"
    try:
        value.decode()
    except UnicodeDecodeError:
        return "it is not valid UTF-8, and PowerShell holds text only"
    return None


def render(items: Sequence[tuple[str, bytes]]) -> bytes:
    """Return one line of ASCII for each item.

    Raises:
        UnrepresentableValueError: PowerShell cannot hold one of the values.
    """
    return b"".join(_assignment(name, value) for name, value in items)


def _assignment(name: str, value: bytes) -> bytes:
    reason = refusal(name, value)
    if reason is not None:
        raise UnrepresentableValueError(f"Secret {name} cannot be exported to PowerShell: {reason}.")
    return b"$env:%b = %b\n" % (name.encode(), _expression(value))


def _expression(value: bytes) -> bytes:
    """Return *value* as a single-quoted string (about_Quoting_Rules), or as Base64 where that could go wrong.

    PowerShell takes U+2018 to U+201B for quotes as well, reads a program's output in the console's code page, and hands
    it on line by line. So only printable ASCII stands in quotes.
    """
    if value.translate(None, _PRINTABLE):
        encoded = b2a_base64(value, newline=False)
        return b"[Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('%b'))" % encoded
    return b"'%b'" % value.replace(b"'", b"''")
