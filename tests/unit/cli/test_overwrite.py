"""The question before a file is replaced."""

from __future__ import annotations

import subprocess

import pytest

from sindri.cli.console import Console
from sindri.cli.overwrite import confirm_overwrite
from sindri.errors import ConflictError
from tests.unit.cli.terminal import Terminal

ASK = """
import sys
from sindri.cli.console import Console
from sindri.cli.overwrite import confirm_overwrite
from sindri.errors import ConflictError
console = Console()
try:
    confirm_overwrite("f", console, assume_yes=False)
except ConflictError as error:
    console.error(error)
    sys.exit(error.exit_code)
print("agreed")
"""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("assume_yes", [True, False])
def test_what_is_not_there_needs_no_question(assume_yes, capfd):
    confirm_overwrite("f", Console(), assume_yes=assume_yes)
    assert capfd.readouterr() == ("", "")


def test_whoever_said_yes_before_is_not_asked(tmp_path, capfd):
    (tmp_path / "f").write_text("old")
    confirm_overwrite("f", Console(), assume_yes=True)
    assert capfd.readouterr() == ("", "")


def test_a_link_to_nothing_is_something_that_is_there(tmp_path, monkeypatch):
    (tmp_path / "f").symlink_to("nothing")
    monkeypatch.setattr("sindri.cli.overwrite.can_ask", lambda: False)
    with pytest.raises(ConflictError):
        confirm_overwrite("f", Console(), assume_yes=False)


@pytest.mark.parametrize(
    ("typed", "status", "end"),
    [
        (b"y\n", 0, b"agreed"),
        (b"\n", 8, b"Error: f was left as it is\r\n  hint: say --yes to replace it"),
        (b"\x04", 8, b"Error: f was left as it is\r\n  hint: say --yes to replace it"),
    ],
)
def test_on_a_terminal_a_person_decides(tmp_path, typed, status, end):
    (tmp_path / "f").write_text("old")
    with Terminal(ASK, env={"NO_COLOR": "1"}) as terminal:
        terminal.read_until(b"f exists already. Replace it? [y/N] ")
        terminal.press(typed)
        assert terminal.finish() == status
        assert terminal.seen.rstrip().endswith(end)
    assert (tmp_path / "f").read_text() == "old"


@pytest.mark.parametrize("stream", ["stdin", "stderr"])
def test_where_nobody_can_answer_or_see_the_question_the_answer_is_no(tmp_path, stream):
    (tmp_path / "f").write_text("old")
    other_end = {stream: subprocess.PIPE}
    with Terminal(ASK, env={"NO_COLOR": "1"}, **other_end) as terminal:
        assert terminal.finish() == 8
        errors = terminal.process.stderr.read() if terminal.process.stderr else terminal.seen
        assert errors.split() == b"Error: f exists already hint: say --yes to replace it".split()
        for pipe in (terminal.process.stdin, terminal.process.stderr):
            if pipe is not None:
                pipe.close()
