"""The env file grammar, case by case, against python-dotenv and against docs/env-files.md."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from dotenv import dotenv_values
from dotenv.parser import parse_stream

from sindri.formats.dotenv import (
    DotenvSyntaxError,
    DotenvValueError,
    refusal,
    render,
    replace_value,
    scan_dotenv,
    unescape,
)

ROOT = Path(__file__).parents[3]
CORPUS = ROOT / ".." / "shared" / "corpus" / "nasty_values.json"
Pairs = list[tuple[str, str | None]]


def ours(text: str | bytes) -> Pairs:
    """Return every name and value that this reader finds, in order."""
    buffer = memoryview(bytearray(text.encode() if isinstance(text, str) else text))
    return [
        (entry.name, str(unescape(buffer, entry), "utf-8") if entry.has_value else None)
        for entry in scan_dotenv(buffer)
    ]


def theirs(text: str) -> Pairs | None:
    """Return what python-dotenv finds; None when it skips a line."""
    bindings = list(parse_stream(io.StringIO(text, newline="")))
    if any(binding.error for binding in bindings):
        return None
    return [(binding.key, binding.value) for binding in bindings if binding.key is not None]


READABLE: list[tuple[str, Pairs]] = [
    ("", []),
    ("\n\n  \n", []),
    ("# only a comment", []),
    ("A=1", [("A", "1")]),
    ("A=1\nB=2\n", [("A", "1"), ("B", "2")]),
    ("A=1\r\nB=2\r\n", [("A", "1"), ("B", "2")]),
    ("A=1\rB=2\r", [("A", "1"), ("B", "2")]),
    ("\ufeffA=1", [("A", "1")]),
    ("\ufeff", []),
    ("A=\ufeff1", [("A", "\ufeff1")]),
    ("  export \t A \t = \t 1 \t ", [("A", "1")]),
    ("export A", [("A", None)]),
    ("export", [("export", None)]),
    ("export=1", [("export", "1")]),
    ("exportA=1", [("exportA", "1")]),
    ("export export=1", [("export", "1")]),
    ("export # says nothing\nA=1", [("A", "1")]),
    ("A", [("A", None)]),
    ("A # comment", [("A", None)]),
    ("A#comment", [("A", None)]),
    ("A=", [("A", "")]),
    ("A= \t", [("A", "")]),
    ("A= # comment", [("A", "")]),
    ("A=#value", [("A", "#value")]),
    ("A=a#b # c # d", [("A", "a#b")]),
    ("A=a b\tc ", [("A", "a b\tc")]),
    ("A=a\vb\fc", [("A", "a\vb\fc")]),
    ("A=x=y==", [("A", "x=y==")]),
    ('A=it\'s "so"', [("A", 'it\'s "so"')]),
    ("A=\\n\\\\", [("A", "\\n\\\\")]),
    ("A=${B} $C", [("A", "${B} $C")]),
    ("A=\x00", [("A", "\x00")]),
    ("A=äöü # ß", [("A", "äöü")]),
    ("a-b.c:d=1", [("a-b.c:d", "1")]),
    ('"A"=1', [('"A"', "1")]),
    ("'A B'=1", [("A B", "1")]),
    ("'A=#\n'=1", [("A=#\n", "1")]),
    ("'A'", [("A", None)]),
    ("A=''", [("A", "")]),
    ("A='a b' # comment", [("A", "a b")]),
    ("A='a'#comment", [("A", "a")]),
    ("A='# \"'", [("A", '# "')]),
    ("A='a\\'b'", [("A", "a'b")]),
    ("A='a\\nb\\z'", [("A", "a\\nb\\z")]),
    ("A='a\nb\r\n'\nB=1", [("A", "a\nb\r\n"), ("B", "1")]),
    ('A=""', [("A", "")]),
    ('A="a" \t# comment', [("A", "a")]),
    ('A="# \'"', [("A", "# '")]),
    ('A="\\a\\b\\f\\n\\r\\t\\v\\\\\\"\\\'"', [("A", "\a\b\f\n\r\t\v\\\"'")]),
    ('A="\\\\n\\$\\z\\\n"', [("A", "\\n\\$\\z\\\n")]),
    ('A="line 1\nB=2\n"\nC=3', [("A", "line 1\nB=2\n"), ("C", "3")]),
    ("A=1\nA=2", [("A", "1"), ("A", "2")]),
]


@pytest.mark.parametrize(("text", "expected"), READABLE, ids=[repr(text) for text, _ in READABLE])
def test_a_statement_is_read_as_python_dotenv_reads_it(text: str, expected: Pairs) -> None:
    assert ours(text) == expected
    assert theirs(text) == expected


class Difference(NamedTuple):
    text: str
    ours: Pairs | str
    theirs: Pairs | None


# The headings of docs/env-files.md. What is ours is a list of what the file gives, or the reason of the error; what is
# theirs is what python-dotenv gives with its default settings, or None where it skips a line.
DIFFERENCES: dict[str, list[Difference]] = {
    "A line that cannot be read is an error": [
        Difference("A=1\nno statement\n", "text after a name, without a `=`", None),
        Difference("A='1' 2", "text after the closing quote", None),
        Difference('A="1', "unterminated double quote", None),
    ],
    "Blanks are space, tab, VT and FF": [
        Difference("A=\u00a01\u00a0", [("A", "\u00a01\u00a0")], [("A", "1")]),
        Difference("A=1\u2003# 2", [("A", "1\u2003# 2")], [("A", "1")]),
        Difference("A\u00a0=1", [("A\u00a0", "1")], [("A", "1")]),
        Difference("A=1\x1c", [("A", "1\x1c")], [("A", "1")]),
        Difference("A=1\x85", [("A", "1\x85")], [("A", "1")]),
        Difference("export\u00a0A=1", [("export\u00a0A", "1")], [("A", "1")]),
        Difference("A='1'\u00a0", "text after the closing quote", [("A", "1")]),
    ],
    "Two backslashes in single quotes stay two": [
        Difference(r"A='a\\b'", [("A", r"a\\b")], [("A", r"a\b")]),
        Difference(r"A='a\\'", [("A", "a\\\\")], [("A", "a\\")]),
        Difference(r"A='a\\\'b'", [("A", r"a\\'b")], [("A", r"a\'b")]),
    ],
    "Nothing is expanded": [
        Difference("A=${B:-c}", [("A", "${B:-c}")], [("A", "c")]),
        Difference("A='${B:-c}'", [("A", "${B:-c}")], [("A", "c")]),
    ],
    "A name without a value falls through": [
        Difference("A", [], [("A", None)]),
        Difference("A=1\nexport A # 2", [], [("A", None)]),
    ],
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_an_intended_difference_from_python_dotenv_is_as_documented(name: str) -> None:
    for text, expected, oracle in DIFFERENCES[name]:
        default = dotenv_values(stream=io.StringIO(text, newline=""))
        assert (None if theirs(text) is None else list(default.items())) == oracle
        if isinstance(expected, str):
            with pytest.raises(DotenvSyntaxError) as caught:
                ours(text)
            assert caught.value.reason == expected
        else:
            assert [(key, value) for key, value in dict(ours(text)).items() if value is not None] == expected


def test_every_intended_difference_is_a_heading_of_the_docs_page_and_the_other_way_round() -> None:
    page = (ROOT / "docs" / "env-files.md").read_text(encoding="utf-8")
    section = page.split("\n## Where it differs from python-dotenv\n")[1].split("\n## ")[0]
    assert re.findall(r"^### (.+)$", section, re.MULTILINE) == list(DIFFERENCES)


def test_a_bare_name_takes_away_an_earlier_value_as_in_python_dotenv() -> None:
    assert dict(ours("A=1\nA\n")) == dotenv_values(stream=io.StringIO("A=1\nA\n")) == {"A": None}
    assert dict(ours("A\nA=1\n")) == dotenv_values(stream=io.StringIO("A\nA=1\n")) == {"A": "1"}


UNREADABLE: list[tuple[str, int, str]] = [
    ("=X", 1, "no variable name before the `=`"),
    ("export =X", 1, "no variable name before the `=`"),
    ("export \nA=1", 1, "`export` without a variable name"),
    ("''=X", 1, "an empty name in quotes"),
    ("'X", 1, "unterminated single quote"),
    ("'", 1, "unterminated single quote"),
    ("'A'X=1", 1, "text after a name, without a `=`"),
    ("A: X", 1, "text after a name, without a `=`"),
    ("A X=1", 1, "text after a name, without a `=`"),
    ("A='X", 1, "unterminated single quote"),
    ("A='X\\'", 1, "unterminated single quote"),
    ('A="X', 1, "unterminated double quote"),
    ('A="X\\', 1, "unterminated double quote"),
    ('A="X\\"\nB=1\n', 1, "unterminated double quote"),
    ("A='X'X", 1, "text after the closing quote"),
    ('A="X" X', 1, "text after the closing quote"),
    ("\n# comment\r\n\r \n  A='1'X", 5, "text after the closing quote"),
    ("A='\n\n'\nB=\"\r\n\"\n'C\n'=1\nexport # c\n\nD X", 10, "text after a name, without a `=`"),
]


@pytest.mark.parametrize(("text", "line", "reason"), UNREADABLE, ids=[repr(text) for text, *_ in UNREADABLE])
def test_a_line_that_python_dotenv_skips_is_an_error_with_its_line_and_never_its_content(
    text: str, line: int, reason: str, canary: str
) -> None:
    assert theirs(text) is None
    planted = text.replace("X", canary).encode()
    with pytest.raises(DotenvSyntaxError) as caught:
        scan_dotenv(memoryview(planted))
    assert (caught.value.line, caught.value.reason) == (line, reason)
    assert str(caught.value) == f"line {line}: {reason}"


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff", b"\x80", b"\xc3", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xe2\x82", b"\xed\xa0\x80",
        b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80",
    ],
)  # fmt: skip
def test_a_file_that_is_not_utf_8_is_an_error_at_the_line_of_the_first_such_byte(bad: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        bad.decode()
    text = "Ä=äöü\n".encode() * 700 + b"A='\n" + bad + b"\n'"
    with pytest.raises(DotenvSyntaxError) as caught:
        scan_dotenv(memoryview(text))
    assert (caught.value.line, caught.value.reason) == (702, "not valid UTF-8")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_file_saved_as_utf_16_is_named_as_such(encoding: str) -> None:
    with pytest.raises(DotenvSyntaxError, match="line 1: the file is saved as UTF-16; save it as UTF-8"):
        scan_dotenv(memoryview("\ufeffA=1\n".encode(encoding)))


def test_every_character_of_every_length_in_utf_8_is_accepted() -> None:
    text = "A='\x01\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff'"
    assert ours(text) == theirs(text)


def test_an_entry_tells_where_its_parts_stand() -> None:
    text = b"# c\n\n  export A = 'x' # c\r\nB\nC= # c\n'D'=\"\\n\""
    found = [
        (entry.kind, entry.line, text[entry.start : entry.end], text[entry.statement_start : entry.statement_end])
        for entry in scan_dotenv(memoryview(text))
    ]
    assert found == [
        ("single", 3, b"x", b"export A = 'x' # c\r\n"),
        ("bare", 4, b"", b"B\n"),
        ("unquoted", 5, b"", b"C= # c\n"),
        ("double", 6, b"\\n", b"'D'=\"\\n\""),
    ]


def test_escapes_are_decoded_in_the_buffer_itself_and_what_is_left_over_is_zeroed() -> None:
    buffer = bytearray(b"A=\"1\\t2\\\\3\\\"4\"\nB='5\\'6'\n")
    view = memoryview(buffer)
    first, second = (unescape(view, entry) for entry in scan_dotenv(view))
    assert bytes(first) == b'1\t2\\3"4'
    assert bytes(second) == b"5'6"
    assert bytes(buffer) == b"A=\"1\t2\\3\"4\0\0\0\"\nB='5'6\0'\n"
    buffer[3] = ord("9")
    assert first[0] == ord("9")


def test_a_value_without_escapes_is_a_window_into_the_buffer_and_a_bare_name_an_empty_one() -> None:
    buffer = bytearray(b"A=1\nB\nC='\\\\'")
    view = memoryview(buffer)
    plain, bare, pair = (unescape(view, entry) for entry in scan_dotenv(view))
    assert (bytes(plain), bytes(bare), bytes(pair)) == (b"1", b"", b"\\\\")
    buffer[2] = ord("2")
    assert bytes(plain) == b"2"


REPLACED: list[tuple[bytes, bytes, bytes]] = [
    # file, new value of A, file afterwards
    (b"", b"v", b"A=v\n"),
    (b"\xef\xbb\xbf", b"v", b"\xef\xbb\xbfA=v\n"),
    (b"B=1", b"v", b"B=1\nA=v\n"),
    (b"B=1\n", b"v", b"B=1\nA=v\n"),
    (b"B=1\r\nC=2", b"v", b"B=1\r\nC=2\r\nA=v\r\n"),
    (b"B=1\r", b"v", b"B=1\rA=v\r"),
    (b"# comment", b"v", b"# comment\nA=v\n"),
    (b"A=old", b"v", b"A=v"),
    (b"A=old\n", b"", b"A=\n"),
    (b" export A = old # keep\r\nB=1", b"v", b" export A = v # keep\r\nB=1"),
    (b"A='old'\t# keep\n", b"v", b"A=v\t# keep\n"),
    (b'A="o\\"ld\n"#keep\n', b"v", b"A='v'#keep\n"),
    (b'A="old"#keep\n', b"", b"A=''#keep\n"),
    (b"A=#old\n", b"v", b"A=v\n"),
    (b"A= # keep\n", b"v", b"A=v # keep\n"),
    (b"A=\n", b"v", b"A=v\n"),
    (b"A\n", b"v", b"A=v\n"),
    (b"A # keep", b"v", b"A=v # keep"),
    (b"A#keep", b"v", b"A='v'#keep"),
    (b"'A'\n", b"v", b"'A'=v\n"),
    (b"A=1\nA=2\nB=3\n", b"v", b"A=1\nA=v\nB=3\n"),
    (b"A=1\nA\n", b"v", b"A=1\nA=v\n"),
    (b"A=old\n", b"a b", b"A='a b'\n"),
    (b"A=old\n", b"$x #y", b"A='$x #y'\n"),
    (b"A=old\n", b"it's", b'A="it\'s"\n'),
    (b"A=old\n", b'\\"\r', b'A="\\\\\\"\\r"\n'),
    (b"A=old\n", b"l1\nl2\n", b"A='l1\nl2\n'\n"),
    (b"A=old\r\n", b"l1\nl2\n", b'A="l1\\nl2\\n"\r\n'),
    (b"A=old\n", "\u00a0ä".encode(), "A='\u00a0ä'\n".encode()),
]


@pytest.mark.parametrize(("text", "value", "expected"), REPLACED)
def test_a_changed_value_leaves_every_other_byte_of_the_file(text: bytes, value: bytes, expected: bytes) -> None:
    assert b"".join(replace_value(memoryview(text), "A", memoryview(value))) == expected
    assert dict(ours(expected))["A"] == value.decode()


def test_a_new_value_is_not_copied_on_its_way_to_the_file() -> None:
    value = bytearray(b"a\"b'c")
    chunks = replace_value(memoryview(b"A=1"), "A", memoryview(value))
    value[0] = ord("z")
    assert b"".join(chunks) == b'A="z\\"b\'c"'


@pytest.mark.parametrize(
    ("text", "name", "value", "reason"),
    [
        (b"", "A", b"\0", "holds a NUL byte, which no environment variable can"),
        (b"", "A", b"\xff", "is not UTF-8 text"),
        (b"", "A B", b"v", "is not a variable name"),
        (b"", "", b"v", "is not a variable name"),
    ],
)
def test_a_value_that_cannot_be_written_is_refused(text: bytes, name: str, value: bytes, reason: str) -> None:
    with pytest.raises(DotenvValueError) as caught:
        replace_value(memoryview(text), name, memoryview(value))
    assert (caught.value.name, caught.value.reason) == (name, reason)


def test_a_name_that_needs_quotes_can_be_changed_where_the_file_already_has_it() -> None:
    assert b"".join(replace_value(memoryview(b"'A B'=1"), "A B", memoryview(b"2"))) == b"'A B'=2"


def test_a_file_with_a_bad_line_is_not_edited() -> None:
    with pytest.raises(DotenvSyntaxError):
        replace_value(memoryview(b"A=1\nB C"), "A", memoryview(b"2"))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("A", b"plain", None),
        ("A", b"$HOME $$ ${HOME ${HOME:?no}", None),
        ("A", b"x${HOME}", "holds ${...}, which python-dotenv and docker-compose 1 would expand"),
        ("A", b"${}", "holds ${...}, which python-dotenv and docker-compose 1 would expand"),
        ("A", b"${A\n:-b\n}", "holds ${...}, which python-dotenv and docker-compose 1 would expand"),
        ("A", b"a\0", "holds a NUL byte, which no environment variable can"),
        ("A", b"a\xff", "is not UTF-8 text"),
        ("1A", b"a", "is not a variable name"),
        ("A=", b"a", "is not a variable name"),
    ],
)
def test_a_refusal_names_what_no_env_file_can_carry(name: str, value: bytes, reason: str | None) -> None:
    assert refusal(name, value) == reason


def test_rendering_a_refused_value_raises_the_reason() -> None:
    with pytest.raises(DotenvValueError, match="A: is not UTF-8 text"):
        render([("A", b"\xff")])


def test_a_rendered_file_quotes_no_more_than_it_must() -> None:
    items = [("A", b""), ("B", b"sk-1/2="), ("C", b"a b"), ("D", b"it's"), ("E", b"1\n2"), ("F", b"\r")]
    assert render(items) == b"A=\nB=sk-1/2=\nC='a b'\nD=\"it's\"\nE='1\n2'\nF=\"\\r\"\n"


def nasty_values() -> list[tuple[str, bytes]]:
    if not CORPUS.exists():
        return []
    rows = json.loads(CORPUS.read_text(encoding="utf-8"))
    return [(row["id"], row["value"].encode("utf-8", "surrogateescape")) for row in rows]


def test_every_nasty_value_is_refused_or_read_back_by_both_readers_from_a_real_file(tmp_path: Path) -> None:
    values = nasty_values()
    if not values:
        pytest.skip("the corpus of nasty values is not beside this folder")
    items = [(f"N{number}", value) for number, (_, value) in enumerate(values) if refusal("N", value) is None]
    assert len(items) > len(values) / 2
    path = tmp_path / "rendered.env"
    path.write_bytes(render(items))
    expected = {name: value.decode() for name, value in items}
    assert dict(ours(path.read_bytes())) == expected
    # Its defaults: interpolation on, and the file opened as text, which turns a raw CR into LF.
    assert dotenv_values(path) == expected
    assert dotenv_values(path, interpolate=False) == expected
