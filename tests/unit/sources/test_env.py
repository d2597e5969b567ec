"""`source: env`, rung by rung."""

from __future__ import annotations

import os

import pytest

from sindri.environment import Environment
from sindri.errors import AccessDeniedError, EnvFileError
from sindri.model import LOCAL_RUNGS, SHELL_ONLY, Candidate, EnvSpec, FileSpec, Manifest, StoreSpec
from sindri.secret import SecretMemory
from sindri.sources.base import SourceContext
from sindri.sources.env import build
from tests.unprivileged import unprivileged


@pytest.fixture
def memory():
    with SecretMemory() as memory:
        yield memory


@pytest.fixture
def source(tmp_path, memory):
    """Return a function that builds the source for a manifest in *tmp_path*, with this shell and no other."""

    def make(shell=None, env_file=None, folder=None):
        folder = str(folder or tmp_path)
        manifest = Manifest(path=f"{folder}/sindri.yaml", display="sindri.yaml", folder=folder)
        environment = Environment(folder, memory, env_file=env_file, shell=shell or {})
        return build(SourceContext(manifest=manifest, environment=environment, memory=memory))

    return make


def candidate(name="A", rungs=LOCAL_RUNGS, **fields) -> Candidate:
    return Candidate(spec=EnvSpec(name=name, **fields), source="env", rungs=rungs)


def seen(outcome):
    """Return what an outcome says, the value revealed."""
    return outcome.status, outcome.where, None if outcome.secret is None else outcome.secret.reveal()


PLACES = ["shell environment", ".env.local", ".env", "value.txt"]


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_the_first_place_of_the_ladder_that_has_the_secret_wins(source, tmp_path, first):
    shell = {b"A": b"from shell"} if first == 0 else {}
    contents = [(".env.local", b"A=from local"), (".env", b"A=from env"), ("value.txt", b"from file")]
    for number, (name, content) in enumerate(contents, start=1):
        if number >= first:
            (tmp_path / name).write_bytes(content)
    (outcome,) = source(shell).answer([candidate(from_file="value.txt")])
    expected = [b"from shell", b"from local", b"from env", b"from file"][first]
    assert seen(outcome) == ("found", PLACES[first], expected)
    assert outcome.source == "env"
    assert outcome.error is None


def test_a_secret_that_is_nowhere_lists_every_place_as_the_guide_writes_them(source):
    (outcome,) = source().answer([candidate(from_file="~/no/token")])
    assert seen(outcome) == ("missing", "", None)
    assert outcome.checked == ("$A", ".env.local", ".env", "~/no/token")
    (outcome,) = source().answer([candidate()])
    assert outcome.checked == ("$A", ".env.local", ".env")


def test_a_named_env_file_stands_in_the_place_of_both(source, tmp_path):
    (tmp_path / ".env").write_bytes(b"A=default")
    (tmp_path / "my.env").write_bytes(b"B=named")
    missing, found = source(env_file="my.env").answer([candidate("A"), candidate("B")])
    assert missing.checked == ("$A", "my.env")
    assert seen(found) == ("found", "my.env", b"named")


def test_an_empty_value_wins_like_any_other(source, tmp_path):
    (tmp_path / ".env").write_bytes(b"A=full\nB=full")
    (tmp_path / ".env.local").write_bytes(b"B=")
    outcomes = source({b"A": b""}).answer([candidate("A"), candidate("B")])
    assert [seen(outcome) for outcome in outcomes] == [
        ("found", "shell environment", b""),
        ("found", ".env.local", b""),
    ]


def test_a_bare_name_in_the_local_file_leaves_the_word_to_the_shared_one(source, tmp_path):
    (tmp_path / ".env.local").write_bytes(b"A\n")
    (tmp_path / ".env").write_bytes(b"A=shared")
    assert seen(source().answer([candidate()])[0]) == ("found", ".env", b"shared")


def test_a_batch_is_answered_in_its_order(source, tmp_path):
    (tmp_path / ".env").write_bytes(b"".join(b"N%d=%d\n" % (number, number) for number in range(50)))
    numbers = [*range(49, -1, -3), 99, *range(0, 50, 7)]
    outcomes = source().answer([candidate(f"N{number}") for number in numbers])
    assert [outcome.spec.name for outcome in outcomes] == [f"N{number}" for number in numbers]
    assert [outcome.secret and outcome.secret.reveal() for outcome in outcomes] == [
        None if number == 99 else b"%d" % number for number in numbers
    ]


def test_only_the_shell_is_asked_where_only_the_shell_may_override(source, tmp_path):
    (tmp_path / ".env").write_bytes(b"this file = 'is broken")
    spec = StoreSpec(name="A", from_file=".env")
    override = Candidate(spec=spec, source="env", role="override", rungs=SHELL_ONLY)
    (outcome,) = source().answer([override])
    assert (outcome.status, outcome.checked) == ("missing", ("$A",))
    (outcome,) = source({b"A": b"x"}).answer([override])
    assert seen(outcome) == ("found", "shell environment", b"x")


def test_a_broken_env_file_is_said_even_when_the_shell_has_everything(source, tmp_path):
    (tmp_path / ".env").write_bytes(b"B='")
    with pytest.raises(EnvFileError, match=r"^Cannot read \.env:1: unterminated single quote"):
        source({b"A": b"x"}).answer([candidate()])


def test_a_file_spec_that_falls_back_to_env_has_no_fromFile_and_is_no_trouble(source):
    spec = FileSpec(name="A", path="f", mount_path="/f")
    (outcome,) = source({b"A": b"x"}).answer([Candidate(spec=spec, source="env")])
    assert seen(outcome) == ("found", "shell environment", b"x")
    (outcome,) = source().answer([Candidate(spec=spec, source="env")])
    assert outcome.checked == ("$A", ".env.local", ".env")


def test_the_ladder_shows_every_rung_whether_or_not_one_above_has_it(source, tmp_path):
    (tmp_path / ".env").write_bytes(b"A=from env")
    (tmp_path / "value.txt").write_bytes(b"from file\n")
    (rungs,) = source({b"A": b"from shell"}).ladder([candidate(from_file="value.txt")])
    assert [seen(rung) for rung in rungs] == [
        ("found", "shell environment", b"from shell"),
        ("missing", ".env.local", None),
        ("found", ".env", b"from env"),
        ("found", "value.txt", b"from file"),
    ]
    assert [len(rungs) for rungs in source().ladder([candidate(), candidate(rungs=SHELL_ONLY)])] == [3, 1]


# --- fromFile -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"value\n", b"value"),
        (b"value", b"value"),
        (b"value\r\n", b"value\r"),
        (b"value\r", b"value\r"),
        (b"value\n\n", b"value\n"),
        (b"\n", b""),
        (b"", b""),
        (b"\n\n", b"\n"),
        (b"  two\nlines  \n", b"  two\nlines  "),
        (b"\xef\xbb\xbf\0\xff\n", b"\xef\xbb\xbf\0\xff"),
        (b"A=1\n", b"A=1"),
    ],
)
def test_one_line_feed_at_the_end_is_dropped_and_nothing_else(source, tmp_path, content, value):
    (tmp_path / "f").write_bytes(content)
    assert seen(source().answer([candidate(from_file="f")])[0]) == ("found", "f", value)


def test_fromFile_is_relative_to_the_manifest_absolute_or_in_the_home_folder(source, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    (home / "token").write_bytes(b"value")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir("/")
    for from_file in ("home/token", str(home / "token"), "~/token"):
        assert seen(source().answer([candidate(from_file=from_file)])[0]) == ("found", from_file, b"value")


@pytest.mark.parametrize("from_file", ["no/such/file", "file/below", "link to nothing"])
def test_a_fromFile_that_is_not_there_is_missing(source, tmp_path, from_file):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link to nothing").symlink_to("nothing")
    (outcome,) = source().answer([candidate(from_file=from_file)])
    assert outcome.status == "missing"
    assert outcome.checked[-1] == from_file


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "it is a directory"),
        (os.mkfifo, "it is a named pipe"),
        (lambda path: path.symlink_to(path), "its links lead in a circle"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
        (lambda path: path.write_bytes(bytes(1024 * 1024 + 1)), "it is larger than 1.0 MB"),
    ],
    ids=["directory", "fifo", "circle", "device", "too large"],
)
def test_a_fromFile_that_cannot_be_read_is_denied_with_the_reason(source, tmp_path, make, words):
    make(tmp_path / "f")
    (outcome,) = source().answer([candidate(from_file="f")])
    assert (outcome.status, outcome.where) == ("denied", "f")
    assert isinstance(outcome.error, AccessDeniedError)
    assert str(outcome.error) == f"Cannot read A from f: {words}\nFile: {tmp_path}/f"


def test_a_fromFile_without_the_right_to_read_is_denied(source, tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "f").chmod(0)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    asked = source(folder=".")
    with unprivileged():
        (outcome,) = asked.answer([candidate(from_file="f")])
    assert outcome.status == "denied"
    assert outcome.error.problem == "Cannot read A from f: permission denied"


def test_the_largest_fromFile_is_read_whole(source, tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 1024 * 1024)
    (outcome,) = source().answer([candidate(from_file="f")])
    assert outcome.secret.size_bytes == 1024 * 1024


def test_every_value_lies_in_the_runs_memory(source, tmp_path, memory):
    (tmp_path / ".env").write_bytes(b"B=value")
    (tmp_path / "f").write_bytes(b"value")
    asked = [candidate("A"), candidate("B"), candidate("C", from_file="f")]
    views = [outcome.secret.view() for outcome in source({b"A": b"value"}).answer(asked)]
    memory.close()
    assert [view.tobytes() for view in views] == [bytes(5)] * 3
