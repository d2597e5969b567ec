"""Streams that are closed, full or without a reader: said where it can be said, and always in the exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.project import assert_one_screen, declare

REPORTS = [
    ("--version",),
    ("--help",),
    ("secrets", "list"),
    ("secrets", "list", "--json"),
    ("secrets", "validate"),
    ("secrets", "validate", "--json"),
    ("secrets", "why", "A"),
    ("secrets", "get", "A"),
    ("secrets", "get", "A", "--json"),
    ("secrets", "export"),
    ("doctor",),
    ("schema",),
    ("run", "--help"),
]
EACH_REPORT = pytest.mark.parametrize("arguments", REPORTS, ids=" ".join)


def redirected(folder: Path, redirections: str, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[bytes]:
    """Run the program with what a shell's *redirections* make of its streams."""
    declare(folder, "A")
    (folder / ".env").write_text("A=hunter2\n")
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-m", "sindri", *arguments]
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)


@EACH_REPORT
@pytest.mark.parametrize(
    ("redirection", "reason"), [(">&-", "it is closed"), ("> /dev/full", "no space left on the device")]
)
def test_a_report_that_cannot_be_written_is_a_failure(tmp_path, arguments, redirection, reason):
    done = redirected(tmp_path, redirection, arguments)
    assert (done.returncode, done.stdout) == (7, b"")
    assert done.stderr == f"Error: Cannot write to standard output: {reason}\n".encode()


@EACH_REPORT
def test_a_reader_that_has_gone_ends_the_program_as_it_ends_others(tmp_path, arguments):
    declare(tmp_path, "A")
    (tmp_path / ".env").write_text("A=hunter2\n")
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "sindri", *arguments]
    done = subprocess.run(command, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (-13, b"")


@EACH_REPORT
def test_closed_input_and_error_streams_change_nothing(tmp_path, arguments):
    plain = redirected(tmp_path, "", arguments)
    closed = redirected(tmp_path, "<&- 2>&-", arguments)
    assert (closed.returncode, closed.stdout) == (plain.returncode, plain.stdout)
    assert closed.returncode == 0


@pytest.mark.parametrize("redirection", ["2>&-", "2> /dev/full", ">&- 2>&-", "<&- >&- 2>&-"])
def test_an_error_that_nobody_can_read_is_still_in_the_exit_code(tmp_path, redirection):
    for arguments, code in (
        (("secrets", "get", "B"), 2),
        (("secrets", "list", "--config", "no"), 3),
        (("run", "no-such"), 127),
    ):
        assert redirected(tmp_path, redirection, arguments).returncode == code


def test_a_full_disk_is_a_failure_for_every_export_format(tmp_path):
    for name in ("shell", "fish", "powershell", "dotenv", "json"):
        done = redirected(tmp_path, "> /dev/full", ("secrets", "export", "--format", name))
        assert done.returncode == 7
        assert done.stderr == b"Error: Cannot write to standard output: no space left on the device\n"


def test_a_folder_that_was_removed_is_said(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    command = ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", sys.executable, "-m", "sindri"]
    for arguments in (("secrets", "list"), ("init",), ("secrets", "list", "--config", "sindri.yaml")):
        folder.mkdir(exist_ok=True)
        done = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, check=False)
        assert done.returncode in (3, 7), done
        assert_one_screen(done.stderr)
