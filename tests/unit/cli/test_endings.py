"""How the process ends when it is not by its own decision, as its parent sees it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from sindri.cli import endings


def run(script: str) -> int:
    return subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE])
def test_ending_by_a_signal_is_seen_as_that_signal_whatever_was_set_before(number):
    script = f"""
import signal
signal.signal({int(number)}, signal.SIG_IGN)
from sindri.cli.endings import end_by_signal
end_by_signal({int(number)})
"""
    assert run(script) == -number


def test_a_blocked_signal_leaves_the_shells_exit_code():
    script = """
import signal, sys
from sindri.cli.endings import end_by_signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
sys.exit(end_by_signal(signal.SIGTERM))
"""
    assert run(script) == 128 + signal.SIGTERM


def test_a_reader_that_has_gone_ends_the_process_like_any_filter():
    assert run("from sindri.cli.endings import end_like_a_broken_pipe\nend_like_a_broken_pipe()") == -signal.SIGPIPE


def test_where_there_is_no_such_signal_the_code_is_1(monkeypatch):
    monkeypatch.setattr("os.name", "nt")
    assert endings.end_like_a_broken_pipe() == 1


PREPARE = "import os, signal\nfrom sindri.cli.endings import let_interrupts_end_the_process\n"


def test_an_interrupt_ends_the_process_at_once_and_without_a_word(capfd):
    script = PREPARE + "let_interrupts_end_the_process()\nos.kill(os.getpid(), signal.SIGINT)\nprint('still here')"
    assert run(script) == -signal.SIGINT
    assert capfd.readouterr() == ("", "")


def test_an_interrupt_that_the_parent_ignores_stays_ignored(capfd):
    # A background job of a shell without job control is started that way.
    script = "import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + PREPARE
    script += "let_interrupts_end_the_process()\nos.kill(os.getpid(), signal.SIGINT)\nprint('still here')"
    assert run(script) == 0
    assert capfd.readouterr().out == "still here\n"


def test_a_programs_own_handler_is_left_alone():
    script = "import sys\n" + PREPARE + "signal.signal(signal.SIGINT, lambda *_: sys.exit(3))\n"
    script += "let_interrupts_end_the_process()\nos.kill(os.getpid(), signal.SIGINT)"
    assert run(script) == 3
