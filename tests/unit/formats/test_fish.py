from __future__ import annotations

import pytest

from sindri.errors import UnrepresentableValueError
from sindri.formats import fish


def test_printable_ascii_stands_in_single_quotes():
    assert fish.render([("A", b'a $b (c) * "d"')]) == b"set -gx A 'a $b (c) * \"d\"'\n"


def test_quotes_and_backslashes_are_escaped_inside_the_quotes():
    assert fish.render([("A", rb"it's C:\x")]) == rb"set -gx A 'it\'s C:\\x'" + b"\n"


def test_every_other_byte_stands_outside_the_quotes_as_two_hexadecimal_digits():
    assert fish.render([("A", b"a\nb\xc3\xa9\x7f")]) == rb"set -gx A 'a'\X0a'b'\Xc3''\Xa9''\X7f''" + b"\n"


def test_statements_are_separated_by_semicolons_because_eval_joins_lines_with_blanks():
    assert fish.render([("A", b"1"), ("B", b"")]) == b"set -gx A '1';\nset -gx B ''\n"


def test_nothing_to_export_is_no_output():
    assert fish.render([]) == b""


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A\n", "A B", "A;id", "\u00c4"])
def test_a_name_that_is_not_a_variable_is_refused(name):
    assert fish.refusal(name, b"x") == "the name is not made of A-Z a-z 0-9 _, or begins with a digit"


@pytest.mark.parametrize("name", ["status", "PWD", "_", "umask", "FISH_VERSION"])
def test_a_variable_that_fish_keeps_for_itself_is_refused(name):
    assert fish.refusal(name, b"x") == "fish keeps a variable of this name for itself"


@pytest.mark.parametrize("value", [b"", b":", b"/a::/b", b"/a:"])
def test_an_empty_element_of_PATH_is_refused_because_fish_makes_it_a_dot(value):
    assert fish.refusal("PATH", value) == 'it has an empty element, for which fish puts "." into PATH'
    assert fish.refusal("MANPATH", value) is None
    assert fish.refusal("PATH", b"/a:/b") is None


def test_a_nul_byte_is_refused_by_name_and_without_the_value():
    with pytest.raises(UnrepresentableValueError) as caught:
        fish.render([("BROKEN", b"hush\0hush")])
    assert str(caught.value) == (
        "Secret BROKEN cannot be exported to fish: it contains a NUL byte, which no environment variable can hold."
    )
