"""The env file reader against python-dotenv over generated files, and writing against reading."""

from __future__ import annotations

import io
import sys

import pytest
from dotenv import dotenv_values
from dotenv.parser import parse_stream
from dotenv.variables import Variable, parse_variables
from hypothesis import example, given, reject
from hypothesis import strategies as st

from sindri.formats.dotenv import DotenvSyntaxError, Entry, refusal, render, replace_value, scan_dotenv, unescape

# What python-dotenv takes for a blank and this reader does not: the intended difference "Blanks are ...".
OTHER_BLANKS = "".join(
    chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace() and chr(code) not in " \t\n\r\v\f"
)
NO_OTHER_BLANKS = str.maketrans(OTHER_BLANKS, "x" * len(OTHER_BLANKS))

PIECES = st.sampled_from(["\\'", '\\"', "\\\\", "${", "}", "ä", "漢", "😀"]) | st.sampled_from(
    [*"'\"\\$#={}:- \t\v\f\r\nabfnrtvAB01", "\r\n", "export ", "export", "\ufeff", "\0", "A=", "=#", " #"]
)
GRAMMAR = st.lists(PIECES, max_size=40).map("".join)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = st.sampled_from(["A", "B", "C_1", "export", "_"])
BLANKS = st.text(" \t\v\f", max_size=2)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
VALUES = st.one_of(GRAMMAR, TEXT).filter(lambda value: "\0" not in value)


@st.composite
def statements(draw: st.DrawFn) -> str:
    """Return one readable statement, or a comment, without a line end."""
    start = draw(BLANKS) + draw(st.sampled_from(["", "", "export "]))
    name = draw(NAMES)
    body = draw(PIECES.filter(lambda piece: piece.isprintable()) | st.sampled_from(["a b", "1", ""])).strip("'\"\\# ")
    value = draw(
        st.sampled_from(
            ["", f"={body}", f"= {body}", f"='{body}\n\\''", f'="{body}\r\n\\n\\\\"', "='a\\\\'", "= #c", "#"]
        )
    )
    shown = draw(st.sampled_from([name, f"'{name}'"]))
    comment = draw(st.sampled_from(["", "", " # it's", "\t#"]))
    return draw(st.sampled_from([start + shown + value + comment, start + shown + value + comment, "", "# 'c"]))


@st.composite
def files(draw: st.DrawFn) -> str:
    """Return a readable file: one line-end style, with or without a mark at its start and a line end at its end."""
    end = draw(LINE_ENDS)
    text = end.join(draw(st.lists(statements(), max_size=6)))
    return draw(st.sampled_from(["", "\ufeff"])) + text + draw(st.sampled_from(["", end]))


def read(text: bytes) -> list[tuple[Entry, str | None]]:
    buffer = memoryview(bytearray(text))
    return [
        (entry, str(unescape(buffer, entry), "utf-8") if entry.has_value else None) for entry in scan_dotenv(buffer)
    ]


def agree(text: str) -> None:
    """Assert that python-dotenv finds the same names, values, lines and bad lines in *text*."""
    expected = []
    bad_line = None
    for binding in parse_stream(io.StringIO(text, newline="")):
        statement = binding.original.string.lstrip()
        before = binding.original.string[: len(binding.original.string) - len(statement)]
        line = binding.original.line + before.count("\n") + before.count("\r") - before.count("\r\n")
        if binding.error:
            bad_line = line
            break
        if binding.key is not None:
            expected.append((line, binding.key, binding.value))
    if bad_line is not None:
        with pytest.raises(DotenvSyntaxError) as caught:
            read(text.encode())
        assert caught.value.line == bad_line
        return
    found = read(text.encode())
    # The intended difference "Two backslashes in single quotes stay two".
    collapsed = [
        (entry.line, entry.name, value.replace("\\\\", "\\") if value is not None and entry.kind == "single" else value)
        for entry, value in found
    ]
    assert collapsed == expected


@given(GRAMMAR)
def test_generated_lines_are_read_as_by_python_dotenv(text: str) -> None:
    agree(text)


@given(files())
def test_generated_files_are_read_as_by_python_dotenv(text: str) -> None:
    agree(text)


@given(TEXT)
@example("A=1\u00a0# 2\n")
def test_any_text_without_the_other_blanks_is_read_as_by_python_dotenv(text: str) -> None:
    agree(text.translate(NO_OTHER_BLANKS))


@given(st.binary())
@example(b"\xef\xbb\xbf\xff")
def test_bytes_are_refused_exactly_when_they_are_not_utf_8(text: bytes) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        before = text[: error.start]
        line = 1 + before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")
        with pytest.raises(DotenvSyntaxError, match="UTF") as caught:
            scan_dotenv(memoryview(text))
        assert caught.value.line == line
    else:
        agree(text.decode().translate(NO_OTHER_BLANKS))


def sequences(text: bytes, name: str) -> list[tuple[str, str | None]]:
    """Return all names and values of a file but the one of *name* that counts."""
    pairs = [(entry.name, value) for entry, value in read(text)]
    for position in range(len(pairs) - 1, -1, -1):
        if pairs[position][0] == name:
            del pairs[position]
            break
    return pairs


@given(st.one_of(files(), GRAMMAR), NAMES, VALUES)
def test_a_replaced_value_is_read_back_and_nothing_else_changes(text: str, name: str, value: str) -> None:
    before = text.encode()
    try:
        entries = scan_dotenv(memoryview(before))
    except DotenvSyntaxError:
        reject()
    after = b"".join(replace_value(memoryview(before), name, memoryview(value.encode())))

    assert {entry.name: found for entry, found in read(after)}[name] == value
    assert sequences(after, name) == sequences(before, name)
    changed = next((entry for entry in reversed(entries) if entry.name == name), None)
    if changed is None:
        assert after.startswith(before)
    else:
        quotes = 1 if changed.kind in {"single", "double"} else 0
        assert after.startswith(before[: changed.start - quotes])
        assert after.endswith(before[changed.end + quotes :])
    # python-dotenv sees the new value too.
    oracle = dotenv_values(stream=io.StringIO(after.decode(), newline=""), interpolate=False)
    assert oracle[name] == value


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), st.one_of(GRAMMAR, TEXT)))
def test_a_rendered_file_is_read_back_by_both_readers_whatever_their_settings(values: dict[str, str]) -> None:
    items = {name: value for name, value in values.items() if refusal(name, value.encode()) is None}
    text = render([(name, value.encode()) for name, value in items.items()])

    assert {entry.name: value for entry, value in read(text)} == items
    for interpolate in (True, False):
        # As python-dotenv opens a file: as text, with every kind of line end turned into LF.
        stream = io.TextIOWrapper(io.BytesIO(text), encoding="utf-8")
        assert dotenv_values(stream=stream, interpolate=interpolate) == items


@given(st.lists(st.sampled_from([*"${}:-?a\n"]), max_size=12).map("".join))
def test_a_text_is_refused_exactly_when_python_dotenv_would_expand_it(value: str) -> None:
    expanded = any(isinstance(part, Variable) for part in parse_variables(value))
    assert (refusal("A", value.encode()) is not None) == expanded
