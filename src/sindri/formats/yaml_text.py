"""YAML for files that Sindri makes: strings, integers, booleans and nothing, in lists and mappings.

Written so that readers of YAML 1.1 and of 1.2 see the same: a string stands without quotes only where neither can take
it for anything else, and otherwise in double quotes with escapes that JSON has too.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# No blank, so no `: ` and no ` #`; no indicator, sign, dot or digit first, so no number, date, `22:22`, `.inf`, `---`.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@:+-]*(?<!:)")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
"""What YAML 1.1 or 1.2 reads as a boolean or as nothing, however it is written."""

_LONGEST_KEY = 1024
"""In characters, with quotes and escapes: YAML 1.2, section 7.4.3, for a key that stands before its `:` on one line."""

# What section 5.1 of YAML 1.2 does not count as printable, and what YAML 1.1 takes for the end of a line. The byte
# order mark may stand in a file, and readers disagree about what it means there.
_UNPRINTABLE = {
    code: f"\\u{code:04x}" for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF)
}
_ESCAPES = _UNPRINTABLE | {ord('"'): '\\"', ord("\\"): "\\\\", ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


def render(value: object, *, comment: str = "") -> str:
    """Return *value* as a YAML document in block style, its keys in the given order, below the lines of *comment*.

    Raises:
        TypeError: something is no str, int, bool, None, list or dict, or a key is no str.
        ValueError: a string holds half a surrogate pair, or a key is longer than YAML allows.
    """
    lines = [f"# {line.translate(_UNPRINTABLE)}".rstrip() for line in comment.splitlines()]
    lines += _lines(value)
    return "\n".join(lines) + "\n"


def _lines(value: object) -> Iterator[str]:
    """Yield the lines of *value*, the outermost without indent."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _under_key(_key(key), item)
    elif isinstance(value, list) and value:
        for item in value:
            for number, line in enumerate(_lines(item)):
                yield f"- {line}" if number == 0 else f"  {line}"
    else:
        yield _scalar(value)


def _under_key(key: str, item: object) -> Iterator[str]:
    if isinstance(item, dict | list) and item:
        yield f"{key}:"
        for line in _lines(item):
            yield f"  {line}"
    else:
        yield f"{key}: {_scalar(item)}"


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key of a YAML mapping is a str, not {type(key).__name__}")
    text = _string(key)
    if len(text) > _LONGEST_KEY:
        raise ValueError(f"a key of a YAML mapping has at most {_LONGEST_KEY} characters, not {len(text)}")
    return text


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    raise TypeError(f"{type(value).__name__} cannot be written as YAML")


def _string(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("half a surrogate pair cannot be written as YAML")
    return f'"{text.translate(_ESCAPES)}"'
