"""Both forms as the foreground job of a shell, on a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator

import pytest

from tests.unit.process.launching import HERE, Launch, Lines

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the reporter uses sigwaitinfo")

CTRL_C, CTRL_Z, CTRL_BACKSLASH = b"\x03", b"\x1a", b"\x1c"


class Job:
    """A job in the foreground of a little shell, which reports the signals it gets."""

    def __init__(self, launch: Launch, *, kind: str = "reports") -> None:
        self.keyboard, terminal = os.openpty()
        reports, writer = os.pipe()
        events, said = os.pipe()
        told, self._commands = os.pipe()
        job = launch.command(sys.executable, "-I", "-S", str(HERE / "reporter.py"), str(writer), kind)
        shell = [
            sys.executable,
            "-I",
            "-S",
            str(HERE / "job_shell.py"),
            os.ttyname(terminal),
            str(said),
            str(told),
            *job,
        ]
        self._shell = subprocess.Popen(shell, start_new_session=True, pass_fds=(writer, said, told))
        for descriptor in (writer, said, told):
            os.close(descriptor)
        self._terminal = terminal  # kept: a terminal that nobody has open hangs up
        self.reports, self.events = Lines(reports), Lines(events)
        self.pid = int(self.reports.next().split()[1])

    def press(self, key: bytes) -> None:
        os.write(self.keyboard, key)

    def foreground(self) -> None:
        os.write(self._commands, b"fg")
        assert self.events.next() == "continued"
        assert self.reports.next() == "SIGCONT"

    def end(self) -> str:
        """End the program and return what the shell says about the job."""
        os.kill(self.pid, signal.SIGUSR2)
        assert self.reports.next() == ""
        return self.events.next()

    def close(self) -> None:
        self._shell.kill()
        self._shell.wait()
        self.reports.close()
        self.events.close()
        for descriptor in (self.keyboard, self._terminal, self._commands):
            os.close(descriptor)  # hangs up: nothing of the job survives


@pytest.fixture
def start(launch: Launch) -> Iterator[Callable[..., Job]]:
    jobs: list[Job] = []

    def start_job(**options: str) -> Job:
        jobs.append(Job(launch, **options))
        return jobs[-1]

    yield start_job
    for job in jobs:
        job.close()


@pytest.mark.parametrize(
    ("key", "name"), [(CTRL_C, "SIGINT"), (CTRL_BACKSLASH, "SIGQUIT"), (CTRL_Z, "SIGTSTP")], ids=["C", "backslash", "Z"]
)
def test_a_key_of_the_terminal_reaches_the_program_once_and_it_decides(start, key, name):
    job = start()
    job.press(key)
    assert job.reports.next() == name
    job.press(key)
    assert job.reports.next() == name
    assert job.end() == "ended 7 true"


def test_a_new_window_size_reaches_the_program_once(start):
    job = start()
    fcntl.ioctl(job.keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    assert job.reports.next() == "SIGWINCH"
    assert job.end() == "ended 7 true"


def test_ctrl_z_stops_the_whole_job_once_and_fg_continues_it(start):
    job = start(kind="stops")
    for _ in range(2):
        job.press(CTRL_Z)
        assert job.events.next() == f"stopped {int(signal.SIGTSTP)}"
        job.foreground()
    job.press(CTRL_C)
    assert job.reports.next() == "SIGINT"
    assert job.end() == "ended 7 true"


def test_a_program_that_stops_itself_stops_the_job(start):
    job = start(kind="stops")
    os.kill(job.pid, signal.SIGSTOP)
    assert job.events.next() == f"stopped {int(signal.SIGSTOP)}"
    job.foreground()
    os.kill(job.pid, signal.SIGUSR2)
    assert job.events.next() == "ended 7 true"


def test_the_programs_death_by_a_signal_is_seen_by_the_shell(launch: Launch, start):
    job = start()
    os.kill(job.pid, signal.SIGKILL)
    assert job.events.next() == ("ended -9 true" if launch.form == "exec" else "ended 137 true")


def test_a_terminal_that_the_program_took_and_left_to_nobody_is_given_back():
    job = Job(Launch("supervise"), kind="takes")
    try:
        job.press(CTRL_C)
        assert job.reports.next() == "SIGINT"
        os.kill(job.pid, signal.SIGKILL)
        assert job.events.next() == "ended 137 true"
    finally:
        job.close()


def test_the_other_members_of_a_pipeline_keep_the_terminal(start):
    """The program stays in the group that the shell made: nobody in it becomes a background process."""
    job = start()
    foreground = os.tcgetpgrp(job.keyboard)
    assert os.getpgid(job.pid) == foreground
    assert job.end() == "ended 7 true"
