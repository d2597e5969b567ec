"""Bad input of every kind: one screen that says where, what and what to do; never a traceback, a value or a wait."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.cli.project import TIMEOUT_S, assert_one_screen, declare, file_secret, unmeasured
from tests.needs import need_program
from tests.unprivileged import run_python

# --- the manifest ---------------------------------------------------------------------------------------------------

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MANIFESTS = {
    "empty": b"",
    "an unclosed list": b"secrets: [",
    "a tab": b"secrets:\n\t- name: A\n",
    "two documents": b"secrets: []\n---\nsecrets: []\n",
    "a text": b"hunter2",
    "secrets that are a text": b"secrets: hunter2\n",
    "zeros": bytes(1_000_000),
    "random bytes": bytes((index * index * 31 + index // 7) % 251 for index in range(1_000_000)),
    "a megabyte of a": b"a" * 1_000_000,
    "a megabyte of lines": b"a: b: c\n" * 125_000,
    "a megabyte of brackets": b"[" * 1_000_000,
    "a megabyte of braces": b"{a: " * 250_000,
    "a megabyte of anchors": b"- &a b\n" * 140_000,
    "too large": b"# comment\n" * 200_000,
    "an alias bomb": BOMB.encode() + b"secrets: *i\n",
    "an alias bomb that is carried": BOMB.encode() + b"secrets: []\n",
    "an alias of itself": b"secrets: &a\n  - *a\n",
    "UTF-16": "secrets: []\n".encode("utf-16"),
    "Latin-1": b"name: gr\xfcn\nsecrets: []\n",
    "a NUL": b"secrets: []\nname: a\0b\n",
    "an escape as key": b'"\\e[31mred": 1\nsecrets: [{"\\e[2J": 1}]\n',
    "an escape as name": b'secrets: [{name: "\\e[31m", source: env}]\n',
    "an escape": b"secrets: []\nname: \x1b[31m\n",
}


@pytest.mark.parametrize("command", [("secrets", "list"), ("run", "--", "echo", "started")], ids=["list", "run"])
@pytest.mark.parametrize("content", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_that_is_none_is_refused(sindri, tmp_path, content, command):
    (tmp_path / "sindri.yaml").write_bytes(content)
    done = sindri(*command, timeout_s=TIMEOUT_S)
    assert (done.returncode, done.stdout) == (3, b"")
    assert_one_screen(done.stderr)
    assert b"sindri.yaml" in done.stderr
    assert b"hunter2" not in done.stderr


def make_odd(path: Path, kind: str) -> None:
    """Put something that is no file at *path*."""
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link to itself":
        path.symlink_to(path.name)
    elif kind == "links in a circle":
        path.symlink_to(f"{path.name}.other")
        Path(f"{path}.other").symlink_to(path.name)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        raise ValueError(kind)


ODD = pytest.mark.parametrize("kind", ["directory", "fifo", "link to itself", "links in a circle", "device"])
ODD_WORDS = {
    "directory": b"it is a directory",
    "fifo": b"it is a named pipe",
    "device": b"it is a device",
    "link to itself": b"its links lead in a circle",
    "links in a circle": b"its links lead in a circle",
}


@ODD
@pytest.mark.parametrize("named", [False, True], ids=["found", "named"])
def test_a_manifest_that_is_no_file_is_refused_and_not_waited_for(sindri, tmp_path, kind, named):
    make_odd(tmp_path / "sindri.yaml", kind)
    done = sindri("secrets", "list", *(("--config", "sindri.yaml") if named else ()))
    assert (done.returncode, done.stdout) == (3, b"")
    assert_one_screen(done.stderr)
    assert done.stderr == b"Error: Cannot read sindri.yaml: " + ODD_WORDS[kind] + b"\n"


# --- where values come from -----------------------------------------------------------------------------------------


@ODD
@pytest.mark.parametrize("name", [".env", ".env.local"])
def test_an_env_file_that_is_no_file_is_refused_and_not_waited_for(sindri, tmp_path, kind, name):
    declare(tmp_path, "A")
    make_odd(tmp_path / name, kind)
    for command in (("secrets", "validate"), ("run", "--", "echo", "started"), ("secrets", "why", "A")):
        done = sindri(*command)
        assert (done.returncode, done.stdout) == (3, b"")
        assert_one_screen(done.stderr)
        assert done.stderr.startswith(f"Error: Cannot read {name}: ".encode() + ODD_WORDS[kind])


@pytest.mark.parametrize("kind", ["directory", "link to itself"])
def test_a_named_env_file_that_cannot_be_read_is_refused(sindri, tmp_path, kind):
    declare(tmp_path, "A")
    make_odd(tmp_path / "team.env", kind)
    done = sindri("secrets", "validate", "--env-file", "team.env")
    assert (done.returncode, done.stdout) == (3, b"")
    assert_one_screen(done.stderr)


def test_a_named_env_file_may_be_a_pipe(tmp_path, canary):
    declare(tmp_path, "A")
    line = f'exec "$@" --env-file <(echo A={canary})'
    command = [sys.executable, "-m", "sindri", "secrets", "get", "A"]
    done = subprocess.run(
        [need_program("bash"), "-c", line, "bash", *command], cwd=tmp_path, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, canary.encode(), b"")


@ODD
@pytest.mark.parametrize(
    "more", [file_secret("A", "odd"), "  - {name: A, source: env, fromFile: odd}\n"], ids=["file", "fromFile"]
)
def test_a_secret_that_is_no_file_is_refused_and_not_waited_for(sindri, tmp_path, kind, more):
    declare(tmp_path, more=more)
    make_odd(tmp_path / "odd", kind)
    done = sindri("run", "--", "echo", "started")
    assert (done.returncode, done.stdout) == (5, b"")
    assert_one_screen(done.stderr)
    assert ODD_WORDS[kind] in done.stderr
    report = sindri("secrets", "validate")
    assert report.returncode == 5
    assert report.stdout.splitlines()[1].startswith(b"[FAIL] A (")


ENV_FILES = {
    "a line that is none": b"A=1\nhunter2 hunter2\n",
    "an open quote": b"A='hunter2\n",
    "Latin-1": b"A=hunter2\xff\n",
    "UTF-16": "A=hunter2\n".encode("utf-16"),
    "a megabyte of garbage": b"hunter2\xfe{}[]'\"\\\0" * 60_000,
    "too large": b"#" * (16 * 1024 * 1024 + 1),
}


@pytest.mark.parametrize("content", ENV_FILES.values(), ids=ENV_FILES)
def test_an_env_file_that_is_none_is_refused_without_a_word_of_it(sindri, tmp_path, content):
    declare(tmp_path, "A")
    (tmp_path / ".env").write_bytes(content)
    done = sindri("secrets", "get", "A", "--debug")
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.startswith(b"Error: Cannot read .env")
    assert b"hunter2" not in done.stderr


def test_a_value_with_a_NUL_goes_where_it_can_and_nowhere_else(sindri, tmp_path):
    declare(tmp_path, "A")
    (tmp_path / ".env").write_bytes(b"A=hunter2\0hunter2\n")
    assert sindri("secrets", "get", "A") == (0, b"hunter2\0hunter2", b"")
    for arguments in (
        ("run", "--", "echo", "started"),
        ("secrets", "export"),
        ("run", "--supervise", "echo", "started"),
    ):
        done = sindri(*arguments)
        assert (done.returncode, done.stdout) == (7, b"")
        assert_one_screen(done.stderr)
        assert b"A" in done.stderr
        assert b"NUL" in done.stderr
        assert b"hunter2" not in done.stderr


# --- rights: a file that this user may not read -----------------------------------------------------------------------

AS_NOBODY = """
import importlib, os, pkgutil, sys
import sindri
from tests.needs import need_program
from tests.unprivileged import become_nobody
for found in pkgutil.walk_packages(sindri.__path__, "sindri."):
    if not found.name.startswith("sindri.testing") and "windows" not in found.name and "__main__" not in found.name:
        importlib.import_module(found.name)
import difflib, json, traceback
become_nobody()
from sindri.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def open_folder():
    """Return a folder that everybody may enter, which `tmp_path` is not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("sindri.yaml", 3, "Error: Cannot read sindri.yaml: permission denied\n"),
        (".env", 3, "Error: Cannot read .env: permission denied\n"),
        ("key", 5, "Error: Cannot read secret file key: permission denied\n"),
        ("public", 5, "Error: Cannot read PUBLIC from public: permission denied\n"),
    ],
)
def test_a_file_that_may_not_be_read_is_named(open_folder, name, code, said):
    declare(open_folder, "A", more=file_secret("KEY", "key") + "  - {name: PUBLIC, source: env, fromFile: public}\n")
    for file in (".env", "key", "public"):
        (open_folder / file).write_text("A=1\n")
    (open_folder / name).chmod(0o000)
    done = run_python(AS_NOBODY, "run", "--", "echo", "started", cwd=open_folder, env=unmeasured())
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr.decode().startswith(said)
    assert_one_screen(done.stderr)


def test_a_folder_that_may_not_be_written_is_named(open_folder):
    declare(open_folder, "A")
    done = run_python(AS_NOBODY, "secrets", "set", "A", "--stdin", cwd=open_folder, env=unmeasured(), input=b"x")
    assert done.returncode == 7
    assert done.stderr == f"Error: Cannot write {open_folder}/.env.local: permission denied\n".encode()
    (open_folder / "sindri.yaml").unlink()
    done = run_python(AS_NOBODY, "init", cwd=open_folder, env=unmeasured())
    assert done.returncode == 7
    assert_one_screen(done.stderr)
    assert os.listdir(open_folder) == []


# --- names from the command line --------------------------------------------------------------------------------------

HOSTILE = {
    "colour": "\x1b[31mred",
    "title": "\x1b]0;title\x07",
    "another line": "x\nError: not from us",
    "carriage return": "x\rError: not from us",
    "C1": "\x9b31m",
    "turned around": "\u202egnp.exe",
    "no text": os.fsdecode(b"\xff\xfe"),
    "glob": "*[a-z]?{a,b}",
    "shell": "$(reboot)`reboot`;'\"\\",
    "format": "%s%n{0}{__class__}",
    "blanks": "  \t ",
    "nothing": "",
    "very long": "x" * 100_000,
    "dots": "../../../etc/passwd",
}
PLACES = {
    "command": lambda word: (word,),
    "second word": lambda word: ("secrets", word),
    "name": lambda word: ("secrets", "get", "--", word),
    "why": lambda word: ("secrets", "why", "--", word),
    "set": lambda word: ("secrets", "set", "--stdin", "--", word),
    "only": lambda word: ("secrets", "validate", f"--only={word}"),
    "config": lambda word: ("secrets", "list", f"--config={word}"),
    "env file": lambda word: ("secrets", "validate", f"--env-file={word}/"),
    "format": lambda word: ("secrets", "export", f"--format={word}"),
    "option": lambda word: ("secrets", "list", f"--{word}x"),
    "run": lambda word: ("run", "--", f"{word}/x"),
    "project": lambda word: ("init", f"--name={word} ", "--yes"),
    "shell": lambda word: ("completion", f"{word} "),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_hostile_word_is_shown_as_what_it_is(tmp_path, place):
    declare(tmp_path, "A")
    for kind, word in HOSTILE.items():
        command = [sys.executable, "-m", "sindri", *PLACES[place](word)]
        done = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode in (2, 3, 127), (kind, done)
        assert done.stdout == b""
        assert_one_screen(done.stderr)
        assert b"\nError: not" not in done.stderr
        if kind == "colour" and place in ("command", "name", "config", "run"):
            assert b"\\x1b[31mred" in done.stderr


def test_a_hostile_folder_and_file_are_shown_as_what_they_are(sindri, tmp_path):
    folder = tmp_path / "\x1b[31m\nError: fake"
    folder.mkdir()
    declare(folder, "A", more=file_secret("F", "'f'", required="true"))
    (folder / ".env").write_text("broken line\n")
    shown = f"{tmp_path}/\\x1b[31m\\nError: fake".encode()
    for arguments in (("validate",), ("list",), ("why", "A"), ("get", "A"), ("validate", "--only", "F")):
        done = sindri("secrets", *arguments, "--config", f"{folder}/sindri.yaml")
        for stream in (done.stdout, done.stderr):
            assert b"\x1b" not in stream
            assert b"\nError: fake" not in stream
    assert b"File: " + shown in sindri("secrets", "validate", "--only", "F", cwd=folder).stderr


@pytest.mark.parametrize("arguments", [("secrets", "list", "--config", "a\0b"), ("secrets", "get", "a\0b")])
def test_a_NUL_that_comes_by_the_library_is_an_error_and_no_bug(tmp_path, arguments):
    declare(tmp_path, "A")  # argv cannot hold one, a caller of `main` can
    script = f"import sys; from sindri.cli.main import main; sys.exit(main({list(arguments)!r}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode in (2, 3)
    assert_one_screen(done.stderr)
