"""The habits of the test run itself: each is shown to catch what it is there for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import need_program

ROOT = Path(__file__).parents[2]


def run_pytest(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_planted.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.canary", "-p", "no:randomly", "-p", "no:cacheprovider", "-v"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "statement",
    [
        "logging.getLogger('x').warning(canary)",
        "sys.stderr.write(canary)",
        "raise ValueError(canary)",
    ],
    ids=["log", "stderr", "traceback"],
)
def test_a_test_that_shows_the_canary_fails_and_does_not_show_it(tmp_path, statement):
    source = f"import logging, sys\n\ndef test_planted(canary):\n    {statement}\n"
    done = run_pytest(tmp_path, source)
    assert done.returncode == 1, done.stdout
    assert "the planted canary appears in:" in done.stdout
    assert "canary-" not in done.stdout + done.stderr


def test_a_test_that_keeps_the_canary_to_itself_passes(tmp_path):
    done = run_pytest(tmp_path, "def test_planted(canary):\n    assert canary\n")
    assert done.returncode == 0, done.stdout


def test_a_missing_program_is_a_skip_with_its_name(monkeypatch):
    monkeypatch.delenv("SINDRI_CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program-here is missing"):
        need_program("no-such-program-here")


def test_a_missing_program_is_a_failure_in_ci(monkeypatch):
    monkeypatch.setenv("SINDRI_CI", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-program-here is missing"):
        need_program("no-such-program-here")


def test_sockets_are_blocked():
    with pytest.warns(UserWarning, match="tried to use"), pytest.raises(RuntimeError):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def test_the_home_folder_is_not_that_of_the_person_who_runs_the_tests(tmp_path_factory):
    assert Path.home().is_relative_to(tmp_path_factory.getbasetemp())
    assert not [name for name in os.environ if name.startswith(("VAULT_", "SINDRI_")) and name != "SINDRI_CI"]
