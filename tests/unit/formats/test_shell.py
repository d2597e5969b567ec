from __future__ import annotations

import re

import pytest

from sindri.errors import UnrepresentableValueError
from sindri.formats import shell


def test_a_value_of_plain_characters_is_written_as_a_person_would():
    assert shell.render([("API_KEY", b"sk-ant_A1:/@%+,=-$&!;.")]) == b"export API_KEY='sk-ant_A1:/@%+,=-$&!;.'\n"


def test_an_empty_value_is_exported_as_empty():
    assert shell.render([("EMPTY", b"")]) == b"export EMPTY=''\n"


def test_nothing_to_export_is_no_output():
    assert shell.render([]) == b""


def test_another_value_is_exported_by_code_in_octal():
    assert shell.render([("A", b"it's\xff\n")]) == (
        rb'''eval "`printf %b 'export\0040A\0075\0047it\0047\0134\0047\0047s\0377\0012\0047'`"'''
        b"\n"
    )


def test_all_values_in_octal_stand_in_one_statement_behind_the_others():
    assert shell.render([("A", b"\t"), ("B", b"plain"), ("C", b"\t")]) == (
        b"export B='plain';\n"
        rb'''eval "`printf %b 'export\0040A\0075\0047\0011\0047\0012export\0040C\0075\0047\0011\0047'`"'''
        b"\n"
    )


def test_statements_are_separated_by_semicolons_because_newlines_are_lost_in_an_unquoted_eval():
    assert shell.render([("A", b"1"), ("B", b"2")]) == b"export A='1';\nexport B='2'\n"


@pytest.mark.parametrize("byte", range(1, 256))
def test_no_byte_makes_a_word_that_is_a_file_name_pattern_or_that_splits(byte):
    text = shell.render([("A", bytes([byte]))]).removesuffix(b"\n")
    assert re.fullmatch(rb"[!-~]+( [!-~]+)*", text), "one line of words, one blank apart"
    assert not re.search(rb"[*?\[\]()|^#~<>]", text)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A\n", "A B", "A;id", "\u00c4", "A="])
def test_a_name_that_is_not_a_variable_is_refused(name):
    assert shell.refusal(name, b"x") == "the name is not made of A-Z a-z 0-9 _, or begins with a digit"


@pytest.mark.parametrize("name", ["UID", "RANDOM", "SECONDS", "_", "path", "status", "argv"])
def test_a_variable_that_a_shell_keeps_for_itself_is_refused(name):
    assert shell.refusal(name, b"x") == "bash or zsh keeps a variable of this name for itself"


def test_a_nul_byte_is_refused():
    assert shell.refusal("A", b"a\0b") == "it contains a NUL byte, which no environment variable can hold"


@pytest.mark.parametrize("name", ["A", "_A", "a1", "GITHUB_TOKEN", "if", "PATH"])
def test_an_ordinary_name_is_accepted(name):
    assert shell.refusal(name, b"\xff any bytes\n") is None


def test_a_refused_value_ends_the_rendering_with_its_name_and_without_the_value():
    with pytest.raises(UnrepresentableValueError) as caught:
        shell.render([("FINE", b"x"), ("BROKEN", b"hush\0hush")])
    assert str(caught.value) == (
        "Secret BROKEN cannot be exported to a shell: it contains a NUL byte, which no environment variable can hold."
    )
