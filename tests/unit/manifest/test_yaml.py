"""Text that is no YAML, or more YAML than a manifest may be."""

from __future__ import annotations

import pytest

from sindri.errors import ManifestError
from sindri.manifest import parse_manifest
from sindri.manifest.tree import MAX_ALIASED_NODES, MAX_DEPTH

BOMB = b"a: &a [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n" % (name, name, *[name - 1] * 10)
    for name in range(ord("b"), ord("z"))
)


def error_of(data: bytes) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data, path="/project/sindri.yaml", display="sindri.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("data", "place", "words"),
    [
        (b"a: b: c\n", "1:5", "put the value in quotes"),
        (b"a:\n\t- x\n", "2:1", "a tab in the indentation"),
        (b"a: @x\n", "1:4", "put it in quotes"),
        (b"a: 'x\n", "1:4", "this quoted value does not end"),
        (b"a: [1, 2\nb: 3", "2:2", "did not find expected ',' or ']'"),
        (b"a:\n  b: 1\n c: 2\n", "3:2", "is the indentation right?"),
        (b"a: !x!y z\n", "1:4", "prefix is not declared"),
        (b"a: {{ template }}\n  b", "2:3", ""),
        ("é: 'ü' x\n".encode(), "1:8", ""),
    ],
)
def test_a_syntax_error_has_its_place_and_a_sentence(data, place, words):
    error = error_of(data)
    assert error.problem == "Cannot use sindri.yaml: it is not valid YAML"
    (problem,) = error.problems
    assert problem.startswith(f"sindri.yaml:{place}: ")
    assert words in problem


def test_a_syntax_error_shows_nothing_of_the_file(canary):
    assert canary not in str(error_of(f"a: b: {canary}\n{canary}: [{canary}".encode()))


@pytest.mark.parametrize(
    ("data", "place", "words"),
    [
        (b"a: b\0c\n", "1:5", "a control character"),
        (b"# x\na: \x01\n", "2:4", "a control character"),
        (b"a: \xff\n", "1:4", "not UTF-8"),
        ("ä: ö\n".encode() + b"\xe4: x", "2:1", "not UTF-8"),
        (b"\xef\xbb\xbfa: \xff", "1:4", "not UTF-8"),
        (b"a: \xc3", "1:4", "not UTF-8"),
    ],
)
def test_bytes_that_no_manifest_holds_are_named_with_their_place(data, place, words):
    (problem,) = error_of(data).problems
    assert problem.startswith(f"sindri.yaml:{place}: ")
    assert words in problem


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_named_as_such(encoding):
    error = error_of("secrets: []".encode(encoding))
    assert error.problem == "Cannot use sindri.yaml: it is not UTF-8"
    assert error.hint == "save it as UTF-8"


def test_a_byte_order_mark_of_utf_8_is_no_part_of_the_first_key():
    manifest = parse_manifest(b"\xef\xbb\xbfname: x\r\n", path="/p/sindri.yaml", display="sindri.yaml")
    assert manifest.name == "x"


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# only a comment\n", b"---\n", b"---\n...\n", b"null", b"~"])
def test_an_empty_file_is_called_empty(data):
    assert error_of(data).problem == "Cannot use sindri.yaml: it is empty"


@pytest.mark.parametrize(("data", "what"), [(b"- a\n", "a list"), (b"hello", "text"), (b"''", "text")])
def test_a_file_that_is_no_mapping_is_no_manifest(data, what):
    (problem,) = error_of(data).problems
    assert problem == f"sindri.yaml:1:1: a manifest is a mapping with `secrets`, this is {what}"


def test_a_second_document_is_refused_where_it_begins():
    (problem,) = error_of(b"a: 1\n---\nb: 2\n").problems
    assert problem.startswith("sindri.yaml:2:1: a second document")


@pytest.mark.parametrize("data", [b"[" * 100_000, b"a: " + b"{a: " * 100_000, b"- " * 100_000, b"? " * 100_000])
def test_deep_nesting_is_refused_and_does_not_crash(data):
    error = error_of(data)
    assert error.problem == "Cannot use sindri.yaml: it nests too deep"


@pytest.mark.parametrize(("depth", "loads"), [(MAX_DEPTH - 1, True), (MAX_DEPTH, False)])
def test_the_limit_of_nesting_is_exact(depth, loads):
    data = b"x: " + b"[" * depth + b"]" * depth
    if loads:
        parse_manifest(data, path="/p/sindri.yaml", display="sindri.yaml")
    else:
        assert "it nests too deep" in error_of(data).problem


def test_an_alias_bomb_is_refused():
    error = error_of(BOMB)
    assert error.problem == "Cannot use sindri.yaml: its aliases expand to too much"


@pytest.mark.parametrize("data", [b"a: &a [*a]", b"a: &a {b: [*a]}", b"&r a: 1\nb: &b\n  c: {d: *b}"])
def test_an_alias_of_what_it_stands_in_is_refused(data):
    assert error_of(data).problem == "Cannot use sindri.yaml: it contains itself"


def test_an_alias_of_nothing_is_refused():
    (problem,) = error_of(b"a: *nobody\n").problems
    assert problem == "sindri.yaml:1:4: this alias names an anchor that does not exist above it"


@pytest.mark.parametrize(("times", "loads"), [(MAX_ALIASED_NODES // 10, True), (MAX_ALIASED_NODES // 10 + 1, False)])
def test_the_limit_of_aliased_nodes_is_exact(times, loads):
    data = b"a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\nb: [" + b"*a, " * times + b"]\n"
    if loads:
        manifest = parse_manifest(data, path="/p/sindri.yaml", display="sindri.yaml")
        assert len(manifest.carried["b"].value) == times
    else:
        error_of(data)


def test_ten_thousand_aliases_of_text_are_no_bomb():
    secrets = b"".join(b"  - {name: S%d, source: *source}\n" % number for number in range(10_000))
    data = b"x: &source env\nsecrets:\n" + secrets
    assert len(parse_manifest(data, path="/p/sindri.yaml", display="sindri.yaml").secrets) == 10_000


def test_a_file_of_more_than_a_megabyte_is_refused():
    assert "it is longer than 1,048,576 bytes" in error_of(b"#" * (1024 * 1024 + 1)).problem


@pytest.mark.parametrize(
    "piece", [b"a: b\n", b"- ", b"&a ", b"[*a,", b"'", b"x" * 100 + b"\n", b"? \n", b"%YAML 1.1\n"]
)
def test_a_megabyte_of_garbage_is_answered(piece):
    error_of(piece * (1024 * 1024 // len(piece)))
