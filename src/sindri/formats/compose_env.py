r"""The file that `env_file` of a compose file names, and the `$` of the compose file itself.

The reader is compose-go's: `dotenv/parser.go`, `dotenv/godotenv.go` and `template/template.go`. Between double quotes
it decodes backslash escapes first and expands `$NAME` and `${NAME}` in what came out. So a `$` must be doubled,
an escape alone does not protect it. A backslash and a double quote are written in octal (`\0` and three digits): before
Compose 2.20 a value that ends with `\\` or `\"` was not read to its end. Nothing else needs an escape but the ends of
lines: a secret is one line of the file. Right from Compose 2.11.2 on; the 1.x of Python is another reader.
"""

from __future__ import annotations

import re

from sindri.errors import UnrepresentableValueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SPECIAL = re.compile(rb'[\\"$\n\r]')
_ESCAPES = {
    ord("\\"): rb"\0134",
    ord('"'): rb"\0042",
    ord("$"): b"$$",
    ord("\n"): rb"\n",
    ord("\r"): rb"\r",
}
# Table 3-7 of the Unicode standard. A bounded count, because each repetition costs the matcher memory.
_UTF8 = re.compile(
    rb"(?:[\x00-\x7f]++|[\xc2-\xdf][\x80-\xbf]"
    rb"|(?:\xe0[\xa0-\xbf]|\xed[\x80-\x9f]|[\xe1-\xec\xee\xef][\x80-\xbf])[\x80-\xbf]"
    rb"|(?:\xf0[\x90-\xbf]|\xf4[\x80-\x8f]|[\xf1-\xf3][\x80-\xbf])[\x80-\xbf]{2}){1,1000}"
)


def refusal(name: str, value: bytes | memoryview) -> str | None:
    """Return why *value* cannot be written for Compose as *name*, or None. The reason holds nothing of the value.

    How long a variable may be is the kernel's rule and not this file's: see `process_environment`.
    """
    if not (name.isascii() and name.isidentifier()):
        return "the name is not made of A-Z a-z 0-9 _, or begins with a digit"
    if re.search(rb"\0", value):
        return "it contains a NUL byte, which no environment variable can hold"
    if not _is_text(value):
        return "it is not valid UTF-8, and Compose hands on text only"
    return None


def render(items: Sequence[tuple[str, bytes | memoryview]]) -> list[bytes | memoryview]:
    """Return the chunks of the file: a line for each secret, in the given order.

    The chunks are windows into the values, which must live until they are written.

    Raises:
        UnrepresentableValueError: a value cannot be written so that Compose reads the same.
    """
    chunks: list[bytes | memoryview] = []
    for name, value in items:
        reason = refusal(name, value)
        if reason is not None:
            raise UnrepresentableValueError(f"Secret {name} cannot be written for Docker Compose: {reason}.")
        chunks += [name.encode(), b'="', *_escaped(memoryview(value)), b'"\n']
    return chunks


def escape_interpolation(text: str) -> str:
    """Return *text* as a string of the compose file itself, where `$` begins a variable."""
    return text.replace("$", "$$")


def _escaped(value: memoryview) -> Iterator[bytes | memoryview]:
    read = 0
    for match in _SPECIAL.finditer(value):
        begin = match.start()
        if begin > read:
            yield value[read:begin]
        yield _ESCAPES[value[begin]]
        read = begin + 1
    if read < len(value):
        yield value[read:]


def _is_text(value: bytes | memoryview) -> bool:
    place = 0
    while place < len(value):
        match = _UTF8.match(value, place)  # decoding would tell as well, and leave a copy
        if match is None:
            return False
        place = match.end()
    return True
