from __future__ import annotations

import pytest

from sindri.errors import UnrepresentableValueError
from sindri.formats import compose_env


def rendered(*items: tuple[str, bytes]) -> bytes:
    return b"".join(compose_env.render(items))


def test_every_secret_is_one_line_in_double_quotes_in_the_given_order():
    assert rendered(("B", b"x y #z"), ("A", b"1\r\n2\n")) == b'B="x y #z"\nA="1\\r\\n2\\n"\n'


def test_a_backslash_and_a_quote_are_written_in_octal_and_a_dollar_is_doubled():
    assert rendered(("A", b'\\$"')) == rb'A="\0134$$\0042"' + b"\n"


def test_digits_behind_an_escape_stay_digits():
    assert rendered(("A", b"\\0134")) == rb'A="\01340134"' + b"\n"


def test_an_empty_value_and_no_secret_at_all():
    assert rendered(("A", b"")) == b'A=""\n'
    assert rendered() == b""


def test_what_else_there_is_stands_as_it_is():
    raw = bytes(byte for byte in range(1, 128) if byte not in b'\\"$\n\r') + "\u00e9\u2028\ufeff\U0001f600".encode()
    assert rendered(("A", raw)) == b'A="' + raw + b'"\n'


def test_a_value_is_never_copied():
    memory = bytearray(b"first\nsecond")
    chunks = compose_env.render([("A", memoryview(memory))])
    memory[:] = bytes(len(memory))
    assert b"".join(chunks) == b'A="' + bytes(5) + rb"\n" + bytes(6) + b'"\n'


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "A\n", "\u00e9", "A.B"])
def test_a_name_that_is_no_variables_is_refused(name):
    assert compose_env.refusal(name, b"x") == "the name is not made of A-Z a-z 0-9 _, or begins with a digit"


@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_a_nul_byte_is_refused(kind):
    assert compose_env.refusal("A", kind(b"hush\0")) == "it contains a NUL byte, which no environment variable can hold"


@pytest.mark.parametrize(
    "value", [b"\xff", b"a" * 3000 + b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe9 caf"]
)
@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_what_is_not_utf8_is_refused(kind, value):
    assert compose_env.refusal("A", kind(value)) == "it is not valid UTF-8, and Compose hands on text only"


def test_rendering_a_refused_value_names_the_secret_and_holds_nothing_of_the_value():
    with pytest.raises(UnrepresentableValueError) as caught:
        compose_env.render([("FINE", b"x"), ("API_KEY", b"hush\0")])
    assert str(caught.value) == (
        "Secret API_KEY cannot be written for Docker Compose: "
        "it contains a NUL byte, which no environment variable can hold."
    )


def test_every_dollar_of_a_string_in_the_compose_file_is_doubled():
    assert compose_env.escape_interpolation("a$b ${C} $$") == "a$$b $${C} $$$$"
