"""Reading a target's part of the manifest: typed, and every mistake at its line and column."""

from __future__ import annotations

import pytest

from sindri.errors import ManifestError
from sindri.manifest import parse_manifest
from sindri.providers.settings import Targets

NAMES = ("docker", "docker-compose")


def targets(text):
    manifest = parse_manifest(f"name: demo\n{text}".encode(), path="/p/sindri.yaml", display="sindri.yaml")
    return Targets(manifest, NAMES)


def refusal(made):
    with pytest.raises(ManifestError) as caught:
        made.raise_if_any()
    return caught.value


def docker(line):
    """The `providers.docker` block with one key, on line 4 from column 5 on."""
    made = targets(f"providers:\n  docker:\n    {line}\n")
    return made, made.own


@pytest.mark.parametrize("word", ["true", "True", "TRUE", "'true'"])
def test_a_switch_is_on_in_every_spelling_of_yaml(word):
    assert docker(f"privileged: {word}")[1].flag("privileged")


@pytest.mark.parametrize("word", ["false", "False", "FALSE"])
def test_a_switch_is_off_in_every_spelling_of_yaml(word):
    assert not docker(f"privileged: {word}")[1].flag("privileged", default=True)


def test_what_is_not_written_gives_its_default():
    made, own = docker("network: host")
    assert own.flag("privileged") is False
    assert own.flag("privileged", default=True) is True
    assert own.text("restart", "always") == "always"
    assert own.whole_number("count", 3) == 3
    assert own.texts("ports") == []
    assert not own.has("dind")
    assert own.block("dind").block("deeper").text("mode", "auto") == "auto"
    made.raise_if_any()


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_a_block_without_content_is_an_empty_one(text):
    made, own = docker(f"dind: {text}")
    assert own.block("dind").text("mode", "auto") == "auto"
    made.raise_if_any()


@pytest.mark.parametrize(
    ("line", "read", "said"),
    [
        ("dind: 3", lambda own: own.block("dind"), "4:11: `providers.docker.dind` must be a mapping"),
        ("dind: [a]", lambda own: own.block("dind"), "4:11: `providers.docker.dind` must be a mapping"),
        ("network: [a]", lambda own: own.text("network"), "4:14: `providers.docker.network` must be a single value"),
        (
            "network: hots",
            lambda own: own.text("network", among=("bridge", "host")),
            "4:14: `providers.docker.network` must be one of bridge, host (did you mean host?)",
        ),
        (
            "network: zzzz",
            lambda own: own.text("network", among=("bridge", "host")),
            "4:14: `providers.docker.network` must be one of bridge, host",
        ),
        ("privileged: yes", lambda own: own.flag("privileged"), "4:17: `providers.docker.privileged` must be true or"),
        ("privileged: [x]", lambda own: own.flag("privileged"), "4:17: `providers.docker.privileged` must be true or"),
        ("ports: 80", lambda own: own.texts("ports"), "4:12: `providers.docker.ports` must be a list of single values"),
        ("ports: [{a: b}]", lambda own: own.texts("ports"), "4:12: `providers.docker.ports` must be a list of single"),
    ],
)
def test_a_value_of_the_wrong_kind_is_said_with_its_place(line, read, said):
    made, own = docker(line)
    read(own)
    (problem,) = refusal(made).problems
    assert problem.startswith(f"sindri.yaml:{said}")


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "two", "'\u0663'", "9" * 5000])
def test_a_count_that_is_no_whole_number_is_refused(text):
    """The last is one that `int` itself refuses, with an exception that is not ours."""
    made = targets(f"deployment: {{gpu: {{count: {text}}}}}\n")
    assert made.deployment.block("gpu").whole_number("count", 1) == 1
    assert "must be a whole number of at least 1" in refusal(made).problems[0]


def test_a_count_is_read():
    assert targets("deployment: {gpu: {count: 12}}\n").deployment.block("gpu").whole_number("count", 1) == 12


def test_a_mistake_that_is_read_twice_is_said_once():
    made, own = docker("privileged: maybe")
    own.flag("privileged")
    own.flag("privileged")
    error = refusal(made)
    assert len(error.problems) == 1
    assert error.problem == "Cannot deploy sindri.yaml to docker: 1 mistake"
    assert error.exit_code == 3


@pytest.mark.parametrize(
    ("text", "place", "near"),
    [
        ("providers: {docker: {netwrok: host}}\n", "2:22", "network"),
        ("providers: {docker-compose: {restrat: always}}\n", "2:30", "restart"),
        ("providers: {docker: {dind: {enabeld: true}}}\n", "2:29", "enabled"),
        ("deployment: {resuorces: {}}\n", "2:14", "resources"),
        ("deployment: {resources: {memroy: 8GB}}\n", "2:26", "memory"),
    ],
)
def test_a_key_that_nobody_knows_is_an_error_with_the_nearest_word(text, place, near):
    (problem,) = refusal(targets(text)).problems
    assert problem.startswith(f"sindri.yaml:{place}: ")
    assert near in problem


def test_a_strange_key_of_another_target_does_not_stop_this_one():
    targets("providers: {fly: {regoin: x}}\n").raise_if_any()


def test_the_block_of_the_second_name_is_read_where_the_first_is_not_written():
    assert targets("providers: {docker-compose: {network: host}}\n").own.text("network") == "host"
    both = "providers: {docker-compose: {network: host}, docker: {network: none}}\n"
    assert targets(both).own.text("network") == "none"
    assert targets("").own.text("network", "unset") == "unset"


def test_a_mistake_can_be_said_by_who_knows_more():
    made, own = docker("network: host")
    own.complain("network", "does not go with that")
    assert refusal(made).problems == ("sindri.yaml:4:14: `providers.docker.network` does not go with that",)
