"""By PowerShell's rules (about_Quoting_Rules). No test runs PowerShell."""

from __future__ import annotations

import base64
import re

import pytest

from sindri.errors import UnrepresentableValueError
from sindri.formats import powershell


def test_printable_ascii_stands_in_single_quotes_where_nothing_is_expanded():
    assert powershell.render([("A", b'a $b `n "c" $(d)')]) == b"$env:A = 'a $b `n \"c\" $(d)'\n"


def test_a_single_quote_is_doubled():
    assert powershell.render([("A", b"it's ''")]) == b"$env:A = 'it''s '''''\n"


@pytest.mark.parametrize("quote", "\u2018\u2019\u201a\u201b\u201c\u201d\u201e")
def test_a_quote_of_typography_which_powershell_takes_for_a_quote_never_stands_in_the_output(quote):
    rendered = powershell.render([("A", f"a{quote}; calc; {quote}".encode())])
    assert rendered.isascii()
    assert b"calc" not in rendered


@pytest.mark.parametrize("value", ["line1\r\nline2\n", "\tx", "\u00e9", "\U0001f600", "\x7f", "'\n'"])
def test_what_is_not_printable_ascii_is_one_line_of_base64_that_decodes_to_the_value(value):
    rendered = powershell.render([("A", value.encode())])
    found = re.fullmatch(
        rb"\$env:A = \[Text\.Encoding\]::UTF8\.GetString\(\[Convert\]::FromBase64String\('([A-Za-z0-9+/=]+)'\)\)\n",
        rendered,
    )
    assert found is not None
    assert base64.b64decode(found[1], validate=True).decode() == value


def test_each_item_is_a_line_of_its_own():
    assert powershell.render([("A", b"1"), ("B", b"")]) == b"$env:A = '1'\n$env:B = ''\n"
    assert powershell.render([]) == b""


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("1A", b"x", "the name is not made of A-Z a-z 0-9 _, or begins with a digit"),
        ("A\n", b"x", "the name is not made of A-Z a-z 0-9 _, or begins with a digit"),
        ("A", b"hush\0", "it contains a NUL byte, which no environment variable can hold"),
        ("A", b"hush\xff", "it is not valid UTF-8, and PowerShell holds text only"),
    ],
)
def test_what_cannot_be_held_is_refused_without_the_value(name, value, reason):
    assert powershell.refusal(name, value) == reason
    with pytest.raises(UnrepresentableValueError) as caught:
        powershell.render([(name, value)])
    assert str(caught.value) == f"Secret {name} cannot be exported to PowerShell: {reason}."
