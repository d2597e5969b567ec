from __future__ import annotations

import pytest

from sindri.formats import yaml_text


def test_a_compose_file_reads_as_a_person_would_write_it():
    value = {
        "name": "my-app",
        "services": {
            "sindri": {
                "image": "ghcr.io/pacphi/sindri:3.0",
                "privileged": False,
                "ports": ["22:22", "8080:80"],
                "volumes": ["my-app_home:/alt/home/developer", {"type": "bind", "read_only": True}],
                "deploy": {"limits": {"memory": "4GB", "count": 2}},
                "labels": {},
                "command": [],
                "user": None,
            }
        },
    }
    assert yaml_text.render(value, comment="Made by Sindri.\n\nDo not edit.") == (
        """\
# Made by Sindri.
#
# Do not edit.
name: my-app
services:
  sindri:
    image: ghcr.io/pacphi/sindri:3.0
    privileged: false
    ports:
      - "22:22"
      - "8080:80"
    volumes:
      - my-app_home:/alt/home/developer
      - type: bind
        read_only: true
    deploy:
      limits:
        memory: "4GB"
        count: 2
    labels: {}
    command: []
    user: null
"""
    )


def test_lists_in_lists_and_values_that_are_no_mapping():
    assert yaml_text.render([["a", ["b"]], [], {}]) == "- - a\n  - - b\n- []\n- {}\n"
    assert yaml_text.render(-5) == "-5\n"
    assert yaml_text.render({}) == "{}\n"


@pytest.mark.parametrize("text", ["a", "A_B", "/alt/home", "a:b", "a@b+c-d.e", "yess", "nullable", "e3", "x:1"])
def test_a_string_that_no_reader_takes_for_anything_else_has_no_quotes(text):
    assert yaml_text.render(text) == f"{text}\n"


@pytest.mark.parametrize(
    "text",
    # The last ones hold blanks or nothing.
    "yes No ON off y N true FALSE null Null ~ 1 0600 0o17 0x1F 1_000 1e3 .5 -1 +1 .inf -.INF .nan 22:22 1:2:3 "
    "2001-12-14 << = - -- --- ... ? : a: :a # #a a,b & * ! | > % @ ` { } [ ] 4GB 'a' \u00e9 \u2212".split()
    + " | a|a |a b|a: b|a #b|".split("|"),
)
def test_a_string_that_a_reader_could_take_for_something_else_has_quotes(text):
    assert yaml_text.render(text) == f'"{text}"\n'
    assert yaml_text.render({text: 1}) == f'"{text}": 1\n'


def test_what_is_not_printable_or_ends_a_line_is_escaped():
    assert yaml_text.render('a"\\\n\r\t\0\x1b\x7f\x85\x9f\u2028\u2029\ufeff\uffff\U0001f600') == (
        r'"a\"\\\n\r\t\u0000\u001b\u007f\u0085\u009f\u2028\u2029\ufeff\uffff' + '\U0001f600"\n'
    )


def test_no_text_gets_out_of_the_comment():
    assert yaml_text.render({}, comment="a\nb: 1\r\nc\x85d\u2028e\x1bf") == ("# a\n# b: 1\n# c\n# d\n# e\\u001bf\n{}\n")


@pytest.mark.parametrize("value", [1.5, b"x", ("a",), {1: 2}, {None: 1}, [{"a": object()}]])
def test_what_has_no_exact_form_here_is_an_error(value):
    with pytest.raises(TypeError):
        yaml_text.render(value)


def test_half_a_surrogate_pair_is_an_error():
    with pytest.raises(ValueError, match="surrogate"):
        yaml_text.render(["\ud800"])


def test_a_key_is_as_long_as_yaml_allows():
    assert yaml_text.render({"k" * 1024: 1}).endswith("k: 1\n")
    with pytest.raises(ValueError, match="1024"):
        yaml_text.render({" " * 1023: 1})
