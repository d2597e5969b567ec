"""YAML for generated files: block style, the given order, and no scalar that any reader takes for something else.

Strings stand plain only where YAML 1.1 and 1.2 both read the same string; else in double quotes (YAML 1.2.2, section
5.7). PyYAML's own dumper would do, but it costs 20 ms to import and belongs to the room that reads manifests.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# A letter or a path first, then nothing that is an indicator anywhere, and no `: ` or ` #` because no blank at all.
_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./@=-]*(?::[A-Za-z0-9_./@=-]+)*")
# Words that YAML 1.1 or 1.2 gives a meaning of their own, in any case.
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
# `.5`, `.inf`, `.nan`; other numbers begin with a digit or a sign and are quoted for that.
_DOT_NUMBER = re.compile(r"\.(?:[0-9_]|inf\b|nan\b)", re.IGNORECASE)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
_TO_ESCAPE = re.compile('["\\\\\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]')


def render(value: object, *, comment: str = "") -> str:
    """Return *value* (dicts with string keys, lists, strings, whole numbers, booleans, None) as a YAML document.

    Raises:
        TypeError: *value* holds something else.
    """
    head = f"# {comment}\n" if comment else ""
    return head + "".join(f"{line}\n" for line in _lines(value))


def _lines(value: object) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _entry(f"{_scalar(str(key))}:", inner, indent="  ")
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _item(inner)
    else:
        yield _scalar(value)


def _entry(head: str, inner: object, *, indent: str) -> Iterator[str]:
    if isinstance(inner, (dict, list)) and inner:
        yield head
        for line in _lines(inner):
            yield indent + line
    else:
        yield f"{head} {_scalar(inner)}"


def _item(inner: object) -> Iterator[str]:
    if isinstance(inner, (dict, list)) and inner:
        mark = "- "
        for line in _lines(inner):
            yield mark + line
            mark = "  "
    else:
        yield f"- {_scalar(inner)}"


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    raise TypeError(f"a generated file cannot hold a {type(value).__name__}")


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS and not _DOT_NUMBER.match(text):
        return text
    return f'"{_TO_ESCAPE.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    letter = match.group()
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
