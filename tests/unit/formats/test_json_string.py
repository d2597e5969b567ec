from __future__ import annotations

import json

import pytest

from sindri.errors import UnrepresentableValueError
from sindri.formats import json_string


def test_the_object_has_one_member_a_line_in_the_order_given_and_ends_with_a_newline():
    assert json_string.render([("B", b"2"), ("A", b"1")]) == b'{\n  "B": "2",\n  "A": "1"\n}\n'


def test_no_items_are_an_empty_object():
    assert json_string.render([]) == b"{}\n"


def test_the_output_is_the_standard_librarys_own_for_every_character_below_a_surrogate():
    text = "".join(map(chr, range(0xD800)))
    assert json_string.render([("A", text.encode())]).decode() == (
        json.dumps({"A": text}, indent=2, ensure_ascii=False) + "\n"
    )


def test_a_string_alone_has_its_quotes():
    assert json_string.render_string('a"\\\x00\u00e9'.encode()) == b'"a\\"\\\\\\u0000\xc3\xa9"'


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("1A", b"x", "the name is not made of A-Z a-z 0-9 _, or begins with a digit"),
        ("A\n", b"x", "the name is not made of A-Z a-z 0-9 _, or begins with a digit"),
        ("A", b"hush\xff", "it is not valid UTF-8, and JSON holds text only"),
        ("A", b"\xed\xa0\x80", "it is not valid UTF-8, and JSON holds text only"),
    ],
)
def test_what_json_cannot_hold_is_refused_without_the_value(name, value, reason):
    assert json_string.refusal(name, value) == reason
    with pytest.raises(UnrepresentableValueError) as caught:
        json_string.render([(name, value)])
    assert str(caught.value) == f"Secret {name} cannot be written as JSON: {reason}."
