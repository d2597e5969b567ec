"""The real Docker Compose reads what is written for it: `config` shows what it understood and needs no engine."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sindri.formats import compose_env, process_environment, yaml_text
from tests.needs import missing, need_program

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "nasty_values.json"
PROJECT = {"name": "nasty", "services": {"sindri": {"image": "none", "env_file": ["./secrets"]}}}
BARE = {"name": "nasty", "services": {"sindri": {"image": "none"}}}

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
# One process reads a whole batch, so that few processes try many values.
batches = st.lists(
    st.one_of(text, st.text("aV0=1 \t\n\r'\"`\\$*?[]{}():-!;&|#%\ufeff\u0085\u00a0\u2028")), min_size=50, max_size=200
)
few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An otherwise empty project."""
    return tmp_path_factory.mktemp("project")


def understood(folder: Path, project: dict) -> dict:
    """Return the project as Compose understands it. It doubles every `$` of what it shows, wherever that stands."""
    folder.joinpath("compose.yml").write_text(yaml_text.render(project), encoding="utf-8", newline="")
    program = need_program(os.path.join(os.path.dirname(sys.executable), "docker-compose"))
    done = subprocess.run(
        [program, "-f", "compose.yml", "--env-file", os.devnull, "config", "--format", "json"],
        cwd=folder,
        # What an unprotected `$` would find.
        env={"HOME": str(folder), "V0": "wrong", "V1": "wrong", "a": "wrong", "A": "wrong"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout.replace(b"$$", b"$"))


def environment(folder: Path, written: bytes) -> dict[str, bytes]:
    """Return the variables that Compose would give to the container, from a file with the content *written*."""
    folder.joinpath("secrets").write_bytes(written)
    variables = understood(folder, PROJECT)["services"]["sindri"].get("environment", {})
    return {name: value.encode() for name, value in variables.items()}


def read_back(folder: Path, values: list[bytes]) -> dict[str, bytes]:
    items = [(f"V{number}", value) for number, value in enumerate(values)]
    return environment(folder, b"".join(compose_env.render(items)))


def numbered(values: list[bytes]) -> dict[str, bytes]:
    return {f"V{number}": value for number, value in enumerate(values)}


def test_every_nasty_value_arrives_byte_for_byte_or_is_refused_by_name(folder):
    if not CORPUS.exists():
        missing("shared/corpus/nasty_values.json")
    refused, accepted = {}, []
    for entry in json.loads(CORPUS.read_text("utf-8")):
        value = entry["value"].encode("utf-8", "surrogateescape")
        message = process_environment.container_refusal("API_KEY", value, carrier="Docker Compose")
        if message is None:
            assert compose_env.refusal("API_KEY", value) is None
            accepted.append(value)
        else:
            assert message.startswith("Secret API_KEY ")
            refused[entry["id"]] = message
    assert sorted(refused) == ["long-131k", "nonutf8-surrogateescape", "nul"]
    assert len(accepted) == 47
    assert read_back(folder, accepted) == numbered(accepted)


@given(texts=batches)
@few
def test_arbitrary_text_arrives_byte_for_byte(folder, texts):
    values = [value.encode() for value in texts]
    assert read_back(folder, values) == numbered(values)


def test_every_character_of_unicode_arrives(folder):
    codes = [*range(1, 0xD800), *range(0xE000, 0x110000)]
    values = ["".join(map(chr, codes[start : start + 20_000])).encode() for start in range(0, len(codes), 20_000)]
    assert read_back(folder, values) == numbered(values)


def test_what_has_a_meaning_arrives_in_every_combination_of_three(folder):
    values = ["".join(three).encode() for three in itertools.product("\\\"$'{}0n\n\r# ", repeat=3)]
    assert read_back(folder, values) == numbered(values)


def test_the_order_of_escapes_and_the_longest_value(folder):
    values = [b"\\0042", b"$\\", b"\\$", b'\\"', b"\\\\\\", b"$$", b"\\n", b'"\n' * 65_000]
    assert read_back(folder, values) == numbered(values)


@pytest.mark.parametrize("name", ["export", "_", "PATH", "lower", "null", "yes"])
def test_a_name_that_means_something_elsewhere_is_a_name(folder, name):
    assert environment(folder, b"".join(compose_env.render([(name, b"x")]))) == {name: b"x"}


def test_compose_does_harm_a_careless_encoding(folder):
    assert environment(folder, b'V=a$V0\nW="a\\nb"\nX=a #b\n') == {"V": b"awrong", "W": b"a\nb", "X": b"a"}


@given(texts=st.lists(st.tuples(text, st.one_of(text, st.text("a0~:#'\"\\$&*!|>%@`,[]{}? -\n\t\u0085")))).map(dict))
@few
def test_arbitrary_text_in_the_compose_file_is_what_compose_reads(folder, texts):
    labels = {f"L{key}": value for key, value in texts.items()}
    written = {key: compose_env.escape_interpolation(value) for key, value in labels.items()}
    project = {"name": "nasty", "services": {"sindri": {"image": "none", "labels": written}}}
    got = understood(folder, project)["services"]["sindri"]
    assert got.get("labels", {}) == labels


@given(
    value=st.recursive(
        st.one_of(
            st.none(), st.booleans(), st.integers(-(2**53), 2**53), text.map(lambda value: value.replace("$", ""))
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.text("abcyn01:~ -#", min_size=1, max_size=9), inner, max_size=4),
        ),
    )
)
@few
def test_lists_mappings_numbers_and_nothing_are_what_compose_reads(folder, value):
    assert understood(folder, BARE | {"x-sindri": {"value": [value]}})["x-sindri"] == {"value": [value]}


@pytest.mark.parametrize(
    "word", "yes no on off y n true null ~ 0600 0o17 1e3 1_000 22:22 22:22:22 2001-12-14 .inf .nan << =".split()
)
def test_a_string_that_looks_like_something_else_is_a_string_for_compose(folder, word):
    value = {"value": [word, {word: word}]}
    assert understood(folder, BARE | {"x-sindri": value})["x-sindri"] == value
