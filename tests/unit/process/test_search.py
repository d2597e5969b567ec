"""Where a program is found, compared with what execvp does."""

from __future__ import annotations

import os
import subprocess

import pytest

from sindri.errors import ProgramNotExecutableError, ProgramNotFoundError
from sindri.process import find_program


def make_program(path, mode=0o755):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"#!/bin/sh\necho %b\n" % os.fsencode(path))
    path.chmod(mode)
    return path


def test_the_first_executable_file_of_the_path_wins(tmp_path):
    (tmp_path / "empty").mkdir()
    first, second = make_program(tmp_path / "a/tool"), make_program(tmp_path / "b/tool")
    path = f"{tmp_path}/empty:{tmp_path}/missing:{first.parent}:{second.parent}"
    assert find_program("tool", path) == str(first)


def test_a_file_that_may_not_be_executed_is_passed_over(tmp_path):
    refused, good = make_program(tmp_path / "a/tool", mode=0o644), make_program(tmp_path / "b/tool")
    path = f"{refused.parent}:{good.parent}"
    assert find_program("tool", path) == str(good)
    env = {**os.environ, "PATH": path + ":/usr/bin:/bin"}
    assert subprocess.run(["env", "tool"], env=env, capture_output=True, check=True).stdout.decode().strip() == str(
        good
    )


@pytest.mark.parametrize("kind", ["file", "folder", "fifo"])
def test_something_that_cannot_be_executed_is_126_and_says_what_it_is(tmp_path, kind):
    thing = tmp_path / "tool"
    if kind == "file":
        make_program(thing, mode=0o644)
    elif kind == "folder":
        thing.mkdir()
    else:
        os.mkfifo(thing)
    expected = {"file": "permission denied", "folder": "is a folder", "fifo": "is not a regular file"}[kind]
    for name, path in (("tool", str(tmp_path)), (str(thing), None)):
        with pytest.raises(ProgramNotExecutableError) as caught:
            find_program(name, path)
        assert caught.value.exit_code == 126
        assert expected in str(caught.value)
        assert ("chmod +x" in caught.value.hint) == (kind == "file")


@pytest.mark.parametrize(
    "name", ["", "no-such-tool", "./no-such-tool", "a\0b", "x" * 300, "/etc/passwd/tool", "npm start"]
)
def test_a_name_that_leads_nowhere_is_127(name):
    with pytest.raises(ProgramNotFoundError) as caught:
        find_program(name, os.environ["PATH"])
    assert caught.value.exit_code == 127


def test_a_command_given_as_one_word_gets_a_hint():
    with pytest.raises(ProgramNotFoundError, match="separate words"):
        find_program("npm start", "/usr/bin")


def test_a_name_with_a_slash_stays_as_it_was_typed(tmp_path, monkeypatch):
    make_program(tmp_path / "tool")
    monkeypatch.chdir(tmp_path)
    assert find_program("./tool", "/nowhere") == "./tool"


@pytest.mark.parametrize("path", ["", ":/nowhere", "/nowhere:"])
def test_an_empty_entry_of_the_path_is_the_current_folder(tmp_path, monkeypatch, path):
    make_program(tmp_path / "tool")
    monkeypatch.chdir(tmp_path)
    assert os.path.samefile(find_program("tool", path), tmp_path / "tool")


def test_without_a_path_the_folders_of_the_system_are_searched():
    assert find_program("sh", None) == "/bin/sh"


def test_a_name_that_is_not_utf8_is_found(tmp_path):
    name = os.fsdecode(b"tool\xff")
    make_program(tmp_path / name)
    assert find_program(name, str(tmp_path)) == str(tmp_path / name)
