"""Every format of `secrets export` is read back by what it is for, with the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sindri.errors import UnrepresentableValueError
from sindri.formats import fish, github_env, json_string, powershell, shell
from sindri.process import check_environment
from tests.github_runner import masked_log, read_env_file
from tests.needs import missing, need_program

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "nasty_values.json"
LOCALES = ["C", "C.UTF-8"]

# File names that match what a careless encoding leaves open, in words of one letter up to whole assignments.
TEMPTING_NAMES = [
    "a",
    "A=1",
    "V0='x1'",
    "'q'",
    '"',
    "export",
    "[a]",
    "*",
    "?",
    "\\",
    "{",
    "V0=`",
    "b;",
    ".'`\";",
    "0141",
]


class Way(NamedTuple):
    """One way in which a shell takes the exported text from the file `../exported`."""

    program: str
    options: tuple[str, ...]
    code: str


UNQUOTED = "eval $(cat ../exported)"
WAYS = {
    "bash, unquoted": Way("bash", ("--norc",), UNQUOTED),
    "bash, unquoted, failglob": Way("bash", ("--norc",), f"shopt -s failglob extglob; set -eu; {UNQUOTED}"),
    "bash, unquoted, nullglob": Way("bash", ("--norc",), f"shopt -s nullglob extglob dotglob; set -u; {UNQUOTED}"),
    "bash, quoted": Way("bash", ("--norc",), 'eval "$(cat ../exported)"'),
    "bash, as sh": Way("bash", ("--posix",), ". ../exported"),
    "dash, unquoted": Way("dash", (), f"set -eu; {UNQUOTED}"),
    "dash, quoted": Way("dash", (), 'eval "$(cat ../exported)"'),
    "zsh, unquoted": Way("zsh", ("-f",), UNQUOTED),
    "zsh, quoted": Way("zsh", ("-f",), 'setopt nounset errexit; eval "$(cat ../exported)"'),
    "zsh, unquoted, its patterns on": Way("zsh", ("-f",), f"setopt globsubst extendedglob nullglob; {UNQUOTED}"),
    "zsh, unquoted, as sh": Way("zsh", ("--emulate", "sh", "-f"), UNQUOTED),
    "busybox, unquoted": Way("busybox", ("sh",), UNQUOTED),
    "fish, source": Way("fish", ("-N",), "cat ../exported | source"),
    "fish, eval": Way("fish", ("-N",), "eval (cat ../exported)"),
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
# One process reads a whole batch, so that few processes try many values.
batches = st.lists(
    st.one_of(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).map(str.encode),
        st.text("aV0=1 \t\n'\"`\\$*?[]{}()!;&|#~^%._-<>").map(str.encode),
        st.binary().map(lambda value: value.replace(b"\0", b"\n")),
        # Halves of characters beside what shells treat specially: bash 5.2 shows its freed memory after some of these.
        st.lists(st.sampled_from(list(b"\xc2\xe2\x80\xf0\xff\\'\"`$*.\n a\x01\x7f"))).map(bytes),
    ),
    min_size=20,
    max_size=60,
)
texts = st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder whose file names match patterns; the exported text lies beside it."""
    inner = tmp_path_factory.mktemp("export") / "inner"
    inner.mkdir()
    for name in TEMPTING_NAMES:
        inner.joinpath(name).touch()
    return inner


def run(way: Way, code: str, folder: Path, locale: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [need_program(way.program), *way.options, "-c", code],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": locale},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


def exported(way: Way, items: list[tuple[str, bytes]], folder: Path, locale: str) -> dict[str, bytes | None]:
    """Return what a program that the shell starts finds in its environment under the names of *items*."""
    encoder = fish if way.program == "fish" else shell
    folder.parent.joinpath("exported").write_bytes(encoder.render(items))
    done = run(way, f"{way.code}\nexec {need_program('env')} -0", folder, locale)
    environment = dict(entry.partition(b"=")[::2] for entry in done.stdout.split(b"\0"))
    assert not done.stderr
    return {name: environment.get(name.encode()) for name, _ in items}


@ways
@given(values=batches, locale=st.sampled_from(LOCALES))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_shell_exports_the_same_bytes_for_arbitrary_values(way, folder, values, locale):
    items = [(f"V{number}", value) for number, value in enumerate(values)]
    assert exported(way, items, folder, locale) == dict(items)


@ways
@pytest.mark.parametrize("locale", LOCALES)
def test_a_shell_exports_every_single_byte_alone_and_before_a_last_newline(way, folder, locale):
    values = [bytes([byte]) + rest for byte in range(1, 256) for rest in (b"", b"\n")]
    items = [(f"V{number}", value) for number, value in enumerate(values)]
    assert exported(way, items, folder, locale) == dict(items)


def nasty_values() -> list[bytes]:
    if not CORPUS.exists():
        missing("shared/corpus/nasty_values.json")
    return [entry["value"].encode("utf-8", "surrogateescape") for entry in json.loads(CORPUS.read_text("utf-8"))]


def fits(name: str, value: bytes) -> bool:
    """Whether execve can carry the value."""
    try:
        check_environment({name.encode(): value})
    except UnrepresentableValueError:
        return False
    return True


@ways
def test_a_shell_exports_every_nasty_value_that_an_environment_can_hold(way, folder):
    items = [(f"V{number}", value) for number, value in enumerate(nasty_values())]
    possible = [(name, value) for name, value in items if fits(name, value)]
    assert len(possible) > 40
    assert exported(way, possible, folder, "C.UTF-8") == dict(possible)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("value", [b"\xc2\\", b"\xc2\\\n", b"a\xe2\x80\\*", b"\xf0\\\\", b"\xc2\\."])
def test_bash_exports_half_a_character_before_a_backslash(folder, value, locale):
    assert exported(WAYS["bash, unquoted"], [("V", value)], folder, locale) == {"V": value}


@ways
def test_a_shell_holds_a_value_that_is_too_long_for_the_arguments_of_any_process(way, folder):
    value = b"two words*\n" * 30_000
    encoder = fish if way.program == "fish" else shell
    folder.parent.joinpath("exported").write_bytes(encoder.render([("LONG", value)]))
    done = run(way, f"{way.code}\nprintf '%s' \"$LONG\"", folder, "C.UTF-8")
    assert (done.stdout == value, done.stderr) == (True, b"")


def test_the_folder_does_harm_a_careless_encoding(folder):
    folder.parent.joinpath("exported").write_bytes(b"export V0='x?'\n")
    done = run(WAYS["bash, unquoted"], f'{UNQUOTED}; printf %s "$V0"', folder, "C")
    assert done.stdout == b"x1"


LISTINGS = {
    "bash, quoted": "compgen -v",
    "dash, quoted": "set | cut -d= -f1",
    "zsh, quoted": "print -rl -- ${(k)parameters}",
    "busybox, unquoted": "set | cut -d= -f1",
    "fish, source": "set -n",
}


@pytest.mark.parametrize("value", [b"plain:7", b"va lue:7\n"])
@pytest.mark.parametrize("key", LISTINGS)
def test_a_variable_that_a_shell_itself_defines_is_refused_or_exported_with_the_same_bytes(key, value, folder):
    way = WAYS[key]
    encoder = fish if way.program == "fish" else shell
    listed = run(way, LISTINGS[key], folder, "C.UTF-8").stdout.decode().split()
    names = sorted({name for name in listed if encoder.refusal(name, value) is None})
    assert len(names) > 5
    got = {}
    for name in names:
        folder.parent.joinpath("exported").write_bytes(encoder.render([(name, value)]))
        # Its own errors, such as that the new LC_ALL is no locale, are no concern of this test.
        done = run(way, f"{way.code}\nexec {need_program('env')} -0", folder, "C.UTF-8")
        got[name] = dict(entry.partition(b"=")[::2] for entry in done.stdout.split(b"\0")).get(name.encode())
    assert got == dict.fromkeys(names, value)


@given(values=texts)
def test_a_json_parser_reads_the_same_text_for_arbitrary_values(values):
    items = [(f"V{number}", value.encode()) for number, value in enumerate(values)]
    assert list(json.loads(json_string.render(items)).items()) == [(name, value.decode()) for name, value in items]


@given(values=texts, windows=st.booleans())
def test_the_simulated_github_runner_reads_the_same_text_for_arbitrary_values(values, windows):
    items = [(f"V{number}", value.encode()) for number, value in enumerate(values)]
    items = [item for item in items if github_env.refusal(*item, windows=windows) is None]
    got = read_env_file(github_env.render(items), windows=windows)
    assert list(got.items()) == [(name, value.decode()) for name, value in items]


@given(value=st.text("a%0AD25\r\n:x ", min_size=4))
def test_the_simulated_github_runner_shows_no_line_of_four_characters_of_a_masked_value(value):
    masks = github_env.render_masks([("V", value.encode())])
    for line in value.replace("\r", "\n").split("\n"):
        if len(line) >= 4 and line.strip():
            assert line not in masked_log(masks, f"printed: {line} and so on")


@given(value=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_powershell_gets_one_line_of_ascii_for_arbitrary_values(value):
    rendered = powershell.render([("V", value.encode())])
    assert rendered.isascii()
    assert rendered.endswith(b"\n")
    assert rendered.count(b"\n") == 1
    assert rendered.count(b"'") % 2 == 0


@given(value=st.binary(), name=st.text())
def test_every_format_either_renders_an_item_or_refuses_it_with_a_reason(value, name):
    for encoder in (shell, fish, powershell, json_string, github_env):
        reason = encoder.refusal(name, value)
        assert reason is None or reason.isascii()
        if reason is None:
            assert name.encode() in encoder.render([(name, value)])
