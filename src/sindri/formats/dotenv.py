"""Env files: what is set in one, one statement changed, and a new one written.

The grammar is python-dotenv's without interpolation; `docs/env-files.md` names every intended difference. Nothing here
copies a value: a regular expression runs over the caller's wipeable buffer and yields places in it. A text of
ours, or of an error, never holds what stands in the file.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    Kind = Literal["bare", "unquoted", "single", "double"]

# One statement, with the blank lines and comments before it. Every branch but the last ends a line, and the last one is
# empty and marks what cannot be read: so the expression matches at every place and never searches for a better one.
# Possessive quantifiers keep the matcher from remembering a choice for every word of a long value: without them 1 MB
# can cost it 70 MB. Those over groups hold nothing that backtracks, which early releases of Python 3.11 got wrong
# (cpython issue 106052).
_STATEMENT = re.compile(
    rb"""(\s*+(?:\#[^\r\n]*+\s*+)*+)                # 1 what stands before
    (?:\Z
    |(?:export[ \t\v\f]++|(?!export[ \t\v\f]))
     (?:\#[^\r\n]*+                                 # `export # comment` says nothing, and python-dotenv reads it so
     |(?:'([^']++)'|([^=\#\s'][^=\#\s]*+))          # 2 3 name
      [ \t\v\f]*+
      (?:=(?:[ \t\v\f]*+
          (?:'([^'\\]*+(?:\\.[^'\\]*+)*+)'          # 4 in single quotes
          |"([^"\\]*+(?:\\.[^"\\]*+)*+)"            # 5 in double quotes
          |((?:[^\s'"\#]|(?<==)\#)\S*+(?:[ \t\v\f]++(?!\#)\S++)*+))  # 6 unquoted; a blank before # ends it
         |()))?                                     # 7 empty
      [ \t\v\f]*+(?:\#[^\r\n]*+)?
     )(?:\r\n|\n|\r|\Z)
    |())""",  # 8 cannot be read
    re.DOTALL | re.VERBOSE,
)
_QUOTED_NAME, _NAME, _SINGLE, _DOUBLE, _UNQUOTED, _EMPTY, _UNREADABLE = range(2, 9)
_KINDS: tuple[Kind, ...] = ("bare", "bare", "bare", "bare", "single", "double", "unquoted", "unquoted")
"""By the last group that matched."""

_LINE_END = rb"\r\n|\n|\r"
_WRITABLE_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
# Read alike, without quotes, by python-dotenv, node's dotenv, compose-go, dotenvy and shells.
_PLAIN_VALUE = rb"[A-Za-z0-9_./:@%+,=-]*"
# python-dotenv's variables.py, which applies it to every value, whatever its quotes.
_INTERPOLATED = rb"\$\{[^}:]*(?::-[^}]*)?\}"
# Table 3-7 of the Unicode standard. A bounded count, because each repetition costs the matcher memory.
_UTF8_SEQUENCES = (
    rb"(?:[\x00-\x7f]++|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}){1,1000}"
)

_ESCAPES = {"single": rb"\\(?:\\|')", "double": rb"\\[\\'\"abfnrtv]"}
_ESCAPED = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))
_TO_ESCAPE = {ord("\\"): b"\\\\", ord('"'): b'\\"', ord("\n"): b"\\n", ord("\r"): b"\\r"}


class DotenvSyntaxError(ValueError):
    """A statement cannot be read. *reason* says why and holds nothing of the file."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


class DotenvValueError(ValueError):
    """A value, or its name, cannot be written to an env file. *reason* says why and holds nothing of the value."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class Entry:
    """One statement of an env file: a name, and where its parts stand in the buffer. Not to be changed.

    *start* and *end* enclose the value without its quotes; a value that is not there has its place, and no length.
    *statement_start* and *statement_end* enclose the whole statement, from `export` or the name to the line end.
    *line* counts from 1 and is the one that the statement starts on.
    """

    __slots__ = ("end", "kind", "line", "name", "start", "statement_end", "statement_start")

    def __init__(  # noqa: PLR0913, PLR0917 - built 10,000 times in 15 ms, by position; read by name
        self, name: str, kind: Kind, start: int, end: int, statement_start: int, statement_end: int, line: int
    ) -> None:
        self.name = name
        self.kind = kind
        self.start = start
        self.end = end
        self.statement_start = statement_start
        self.statement_end = statement_end
        self.line = line

    @property
    def has_value(self) -> bool:
        """Whether there is a `=`. A bare NAME has no value, which is not the same as an empty one."""
        return self.kind != "bare"


def scan_dotenv(buffer: memoryview) -> list[Entry]:
    """Return the statements of an env file, in order; of several with one name the last one counts.

    That holds for a bare NAME too: it takes away what an earlier statement gave.

    A line of a multi-line value that somebody forgot to quote reads as a bare NAME, or as one with a value (the last
    line of a PEM file): a caller that shows names it was not asked for may show a piece of a secret.

    Raises:
        DotenvSyntaxError: a statement cannot be read, or the file is not UTF-8.
    """
    _check_encoding(buffer)
    entries = []
    line = 1
    for match in _STATEMENT.finditer(buffer, _start_of_text(buffer)):
        group = match.lastindex or 0
        before, statement = match.span(1)
        if before != statement:
            line += _line_ends(buffer, before, statement)
        if group < _QUOTED_NAME:  # a comment after `export`, or the end
            line += 1
            continue
        if group == _UNREADABLE:
            raise DotenvSyntaxError(line, _complaint(buffer, statement))
        # Only what stands in quotes can hold line ends.
        one_line = group not in {_QUOTED_NAME, _SINGLE, _DOUBLE}
        name, name_end = match[_NAME], match.end(_NAME)
        if name is None:
            name, name_end, one_line = match[_QUOTED_NAME], match.end(_QUOTED_NAME) + 1, False
        start, stop = match.span(group) if group > _NAME else (name_end, name_end)
        end = match.end()
        entries.append(Entry(name.decode(), _KINDS[group], start, stop, statement, end, line))
        line += 1 if one_line else _line_ends(buffer, statement, end)
    return entries


def unescape(buffer: memoryview, entry: Entry) -> memoryview:
    """Return the value of *entry*, a window into *buffer*; an empty one where there is no value.

    Escapes are decoded in place: ask once for each entry, and edit or scan the buffer before, not after. Bytes that the
    shorter text leaves over are zeroed.
    """
    value = buffer[entry.start : entry.end]
    pattern = _ESCAPES.get(entry.kind)
    if pattern is None:
        return value
    read = written = 0
    # The matcher reads on while the text behind it changes: what is decoded never grows, so `written` stays behind.
    for match in re.finditer(pattern, value):
        begin, after = match.span()
        escaped = value[after - 1]
        if entry.kind == "single" and escaped == 0x5C:  # both backslashes stay, as in a shell; the pair is one step
            continue
        width = begin - read
        # From memoryview to memoryview: moved in the buffer, without a hidden temporary.
        value[written : written + width] = value[read:begin]
        written += width
        value[written] = _ESCAPED.get(escaped, escaped)
        written += 1
        read = after
    if read == 0:
        return value
    rest = len(value) - read
    value[written : written + rest] = value[read:]
    written += rest
    value[written:] = bytes(len(value) - written)
    return value[:written]


def replace_value(buffer: memoryview, name: str, value: memoryview) -> list[memoryview | bytes]:
    """Return the chunks of the file in which *name* has *value* and every other byte is as it was.

    The last statement with that name is changed, for it is the one that counts; without one, a line is added. The
    chunks are windows into *buffer* and *value*, which must live until they are written.

    Raises:
        DotenvSyntaxError: the file cannot be read as it is.
        DotenvValueError: the value cannot be written.
    """
    reason = _value_refusal(value)
    if reason is not None:
        raise DotenvValueError(name, reason)
    entry = None
    for candidate in scan_dotenv(buffer):
        if candidate.name == name:
            entry = candidate
    first = re.search(_LINE_END, buffer)
    line_end = b"\n" if first is None else first.group()
    # A raw LF would be one more line end, of another style, in a file that has its own.
    multi_line = line_end == b"\n"
    if entry is None:
        if (reason := _name_refusal(name)) is not None:
            raise DotenvValueError(name, reason)
        gap = b"" if len(buffer) == _start_of_text(buffer) or buffer[-1] in b"\r\n" else line_end
        return [buffer, gap + name.encode() + b"=", *_written(value, multi_line=multi_line), line_end]
    quote_width = 1 if entry.kind in {"single", "double"} else 0
    start, end = entry.start - quote_width, entry.end + quote_width
    # A # right behind would become part of a value without quotes.
    quoted = end < len(buffer) and buffer[end] == ord("#")
    equals = b"" if entry.has_value else b"="
    return [buffer[:start], equals, *_written(value, multi_line=multi_line, quoted=quoted), buffer[end:]]


def refusal(name: str, value: bytes) -> str | None:
    """Return why this secret cannot stand in an env file that any program may read; None when it can.

    "Can" means: this module, and python-dotenv with or without interpolation, read the same bytes back.
    """
    reason = _name_refusal(name) or _value_refusal(value)
    if reason is None and re.search(_INTERPOLATED, value):
        # It does so even in single quotes and after a backslash, and has no escape for it.
        return "holds ${...}, which python-dotenv and docker-compose 1 would expand"
    return reason


def render(items: Sequence[tuple[str, bytes]]) -> bytes:
    """Return an env file of these names and values, a statement for each.

    Raises:
        DotenvValueError: `refusal` has a reason against one of them.
    """
    chunks: list[memoryview | bytes] = []
    for name, value in items:
        reason = refusal(name, value)
        if reason is not None:
            raise DotenvValueError(name, reason)
        chunks += [name.encode(), b"=", *_written(memoryview(value), multi_line=True), b"\n"]
    return b"".join(chunks)


def _written(value: memoryview, *, multi_line: bool, quoted: bool = False) -> Iterator[memoryview | bytes]:
    r"""Yield *value* as it stands in a file: plain, else in single quotes, else in double quotes with escapes.

    Single quotes are what most readers take literally. They hold no backslash here, because readers disagree about
    `'\\'`; and no CR, which a program that opens the file as text reads as LF.
    """
    if not quoted and re.fullmatch(_PLAIN_VALUE, value):
        yield value
        return
    if not re.search(rb"['\\\r]" if multi_line else rb"['\\\r\n]", value):
        yield from (b"'", value, b"'")
        return
    yield b'"'
    read = 0
    for match in re.finditer(rb'["\\\r\n]', value):
        begin = match.start()
        yield value[read:begin]
        yield _TO_ESCAPE[value[begin]]
        read = begin + 1
    yield value[read:]
    yield b'"'


def _name_refusal(name: str) -> str | None:
    return None if re.fullmatch(_WRITABLE_NAME, name) else "is not a variable name"


def _value_refusal(value: bytes | memoryview) -> str | None:
    if re.search(rb"\0", value):
        return "holds a NUL byte, which no environment variable can"
    if _first_invalid(memoryview(value)) is not None:
        return "is not UTF-8 text"
    return None


def _start_of_text(buffer: memoryview) -> int:
    """Return the place behind the byte order mark that some editors put first."""
    return 3 if buffer[:3].tobytes() == b"\xef\xbb\xbf" else 0


def _line_ends(buffer: memoryview, start: int, end: int) -> int:
    return sum(1 for _ in re.compile(_LINE_END).finditer(buffer, start, end))


def _check_encoding(buffer: memoryview) -> None:
    place = _first_invalid(buffer)
    if place is None:
        return
    if buffer[:2].tobytes() in {b"\xff\xfe", b"\xfe\xff"}:
        raise DotenvSyntaxError(1, "the file is saved as UTF-16; save it as UTF-8")
    raise DotenvSyntaxError(_line_ends(buffer, 0, place) + 1, "not valid UTF-8")


def _first_invalid(text: memoryview) -> int | None:
    """Return where *text* stops being UTF-8. Decoding would tell as well, and leave a copy of every secret."""
    first = re.search(rb"[\x80-\xff]", text)
    if first is None:
        return None
    sequences = re.compile(_UTF8_SEQUENCES)
    place = first.start()
    while place < len(text):
        match = sequences.match(text, place)
        if match is None:
            return place
        place = match.end()
    return None


def _complaint(buffer: memoryview, place: int) -> str:
    """Return why the statement at *place* cannot be read, following the steps of python-dotenv's `parse_binding`."""

    def skip(pattern: bytes) -> bool:
        nonlocal place
        match = re.compile(pattern, re.DOTALL).match(buffer, place)
        if match is None:
            return False
        place = match.end()
        return True

    skip(rb"export[ \t\v\f]+")
    if skip(rb"'"):
        if not skip(rb"[^']+"):
            return "an empty name in quotes" if skip(rb"'") else "unterminated single quote"
        if not skip(rb"'"):
            return "unterminated single quote"
    elif not skip(rb"[^=#\s]+"):
        return "no variable name before the `=`" if skip(rb"=") else "`export` without a variable name"
    if not skip(rb"[ \t\v\f]*=[ \t\v\f]*"):
        return "text after a name, without a `=`"
    # What has no quotes can always be read.
    word, quoted = ("double", rb'"(?:[^\\"]|\\.)*+') if buffer[place] == ord('"') else ("single", rb"'(?:[^\\']|\\.)*+")
    skip(quoted)
    return "text after the closing quote" if skip(rb"['\"]") else f"unterminated {word} quote"
