"""Who may look into the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.unit.process.launching import Launch, python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the flag")

STATE = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE


def run(code: str, **popen) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, **popen).stdout


def test_a_hardened_process_is_not_dumpable():
    assert run(f"from sindri.process import harden; print(harden()); {STATE}").split() == ["True", "0"]


def test_another_process_of_the_same_user_cannot_read_its_memory():
    code = """
import ctypes, os  # before the privileges go: the interpreter may lie where only root can read
from sindri.process import harden
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
ours = os.getpid()
def look():
    child = os.fork()
    if child == 0:
        try:
            open(f"/proc/{ours}/mem", "rb").close()
        except PermissionError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
print(look()); harden(); print(look())
"""
    assert run(code).split() == ["0", "1"]


def test_the_program_that_follows_is_dumpable_again_and_keeps_the_limits(launch: Launch):
    code = f"import resource; {STATE}; print(resource.getrlimit(resource.RLIMIT_CORE))"
    here = subprocess.run(python(code), capture_output=True, check=True).stdout
    assert launch(*python(code), harden=True).stdout == here
    assert here.startswith(b"1\n")


def test_nothing_is_imported_that_a_plain_exec_does_not_use():
    code = "import sys, os; before = set(sys.modules); import sindri.process; print(*sorted(set(sys.modules) - before))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()
    assert {name for name in found if not name.startswith("sindri")} <= {"__future__"}
    assert "sindri.process.supervision" not in found


def test_a_system_without_prctl_is_told_apart(monkeypatch):
    import ctypes

    from sindri.process import harden

    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert harden() is False
