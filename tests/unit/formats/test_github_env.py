"""The runner itself is not run: its reader is *simulated* by `tests.github_runner`."""

from __future__ import annotations

import re

import pytest

from sindri.errors import UnrepresentableValueError
from sindri.formats import github_env
from tests.github_runner import masked_log, read_env_file

VALUES = ["", "x", "a\nb", "\n", "\n\n", "a\n", "\na", "a\r\nb\r\n", "a=b", "A<<B\nx\nB", "\r", "\u00e9\u2028", "%0A"]


def test_a_value_stands_between_two_lines_of_a_random_delimiter():
    rendered = github_env.render([("A", b"one\ntwo")])
    assert re.fullmatch(rb"A<<(SINDRI_[0-9a-f]{32})\none\ntwo\n\1\n", rendered)


def test_two_values_never_share_a_delimiter():
    rendered = github_env.render([("A", b"1"), ("B", b"1")])
    assert len(set(re.findall(rb"SINDRI_[0-9a-f]+", rendered))) == 2


@pytest.mark.parametrize("value", VALUES)
def test_the_simulated_runner_reads_the_same_text_back(value):
    rendered = github_env.render([("A", value.encode()), ("B", b"after")])
    assert read_env_file(b"X=1\n" + rendered) == {"X": "1", "A": value, "B": "after"}


@pytest.mark.parametrize("value", VALUES)
def test_the_simulated_runner_of_windows_reads_the_same_text_back_or_the_value_is_refused(value):
    reason = github_env.refusal("A", value.encode(), windows=True)
    if value.endswith("\r"):
        assert reason == (
            "it ends with a carriage return, which GitHub's runner on Windows takes for a part of the line's end"
        )
    else:
        assert reason is None
        assert read_env_file(github_env.render([("A", value.encode())]), windows=True) == {"A": value}


def test_a_delimiter_that_occurs_in_the_value_is_drawn_again():
    draws = [b"\xaa" * 16, b"\xbb" * 16]
    value = b"x\nSINDRI_" + b"aa" * 16 + b"\nINJECTED=1"
    rendered = github_env.render([("A", value)], random_bytes=lambda _: draws.pop(0))
    assert not draws
    assert read_env_file(rendered) == {"A": value.decode()}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("1A", b"x", "the name is not made of A-Z a-z 0-9 _, or begins with a digit"),
        ("A<<B", b"x", "the name is not made of A-Z a-z 0-9 _, or begins with a digit"),
        ("A\n", b"x", "the name is not made of A-Z a-z 0-9 _, or begins with a digit"),
        ("NODE_OPTIONS", b"x", "GitHub's runner does not take a variable of this name from a step"),
        ("node_options", b"x", "GitHub's runner does not take a variable of this name from a step"),
        ("CI", b"x", "GitHub's runner does not take a variable of this name from a step"),
        ("GITHUB_ENV", b"x", "GitHub's runner does not take a variable of this name from a step"),
        ("RUNNER_TEMP", b"x", "GitHub's runner does not take a variable of this name from a step"),
        ("A", b"hush\0", "it contains a NUL byte, which no environment variable can hold"),
        ("A", b"hush\xff", "it is not valid UTF-8, and GitHub's runner reads the file as text"),
    ],
)
def test_what_would_not_arrive_is_refused_without_the_value(name, value, reason):
    assert github_env.refusal(name, value) == reason
    for write in (github_env.render, github_env.render_masks):
        with pytest.raises(UnrepresentableValueError) as caught:
            write([(name, value)])
        assert str(caught.value) == f"Secret {name} cannot be written to GITHUB_ENV: {reason}."


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "GITHUB_PAT", "GITHUB_USER", "CIRCLE", "CI_TOKEN", "MY_RUNNER_TEMP"])
def test_a_name_that_only_looks_like_one_of_the_runners_is_accepted(name):
    assert github_env.refusal(name, b"x") is None


def test_the_whole_value_and_each_of_its_lines_are_masked_once():
    assert github_env.render_masks([("A", b"first\r\n100%\nfirst"), ("B", b"100%")]) == (
        b"::add-mask::first%0D%0A100%25%0Afirst\n::add-mask::first\n::add-mask::100%25\n"
    )


@pytest.mark.parametrize("value", ["", "abc", "    ", "\n\n\n\n", "a\nb", "\u00e9\u00e9\u00e9"])
def test_a_piece_that_is_blank_or_shorter_than_four_characters_gets_no_mask(value):
    assert github_env.render_masks([("A", value.encode())]) == b""


def test_a_piece_of_four_characters_is_masked():
    assert github_env.render_masks([("A", "\u00e9\u00e9\u00e9\u00e9".encode())]) == (
        "::add-mask::\u00e9\u00e9\u00e9\u00e9\n".encode()
    )


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_the_simulated_runner_shows_no_line_of_a_masked_value(ending):
    value = ending.join(["-----BEGIN-----", "c2VjcmV0", "%0A%25", "-----END-----"])
    masks = github_env.render_masks([("KEY", value.encode())])
    log = "\n".join(f"printed: {line}" for line in value.splitlines())
    assert masked_log(masks, log) == "\n".join(["printed: ***"] * 4)
