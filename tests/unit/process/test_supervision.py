"""The form in which Sindri stays beside the program: signals, the end of either, what the parent may wipe."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from sindri.testing.child import PausedChild
from sindri.testing.memory import ANY_CHILD, make_canaries, scan, scan_requirement
from tests.unit.process.launching import HERE, Launch, Lines

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the reporter uses sigwaitinfo")

SUPERVISE = Launch("supervise")
FORWARDED = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGWINCH", "SIGCONT", "SIGTSTP"]


class Running(NamedTuple):
    """A supervised reporter: the launcher, the pid of the program, and what the program reports."""

    launcher: subprocess.Popen
    pid: int
    reports: Lines


@pytest.fixture
def running() -> Iterator[Running]:
    reader, writer = os.pipe()
    command = SUPERVISE.command(sys.executable, "-I", "-S", str(HERE / "reporter.py"), str(writer), "reports")
    launcher = subprocess.Popen(command, pass_fds=(writer,), start_new_session=True)
    os.close(writer)
    reports = Lines(reader)
    started = Running(launcher, int(reports.next().split()[1]), reports)
    yield started
    if launcher.poll() is None:
        os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    reports.close()


@pytest.mark.parametrize("name", FORWARDED)
def test_a_signal_to_the_parent_reaches_the_program_once(running: Running, name):
    running.launcher.send_signal(getattr(signal, name))
    assert running.reports.next() == name
    running.launcher.send_signal(signal.SIGUSR2)  # ends the program, after whatever was sent twice
    assert running.reports.next() == ""
    assert running.launcher.wait() == 7


def test_a_program_that_a_forwarded_signal_kills_gives_128_and_its_number():
    script = "echo ready; while :; do read line || exit 9; done"
    with subprocess.Popen(
        SUPERVISE.command("sh", "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == b"ready\n"
        launcher.send_signal(signal.SIGTERM)
        assert launcher.wait() == 128 + signal.SIGTERM


def test_when_the_parent_is_killed_the_program_is_told(running: Running):
    running.launcher.kill()
    assert running.reports.next() == "SIGTERM"
    os.kill(running.pid, signal.SIGUSR2)
    assert running.reports.next() == ""


def test_no_zombie_is_left_and_the_parent_has_no_other_child(running: Running):
    with open(f"/proc/{running.launcher.pid}/task/{running.launcher.pid}/children", encoding="ascii") as file:
        assert file.read().split() == [str(running.pid)]
    running.launcher.send_signal(signal.SIGUSR2)
    assert running.launcher.wait() == 7
    assert not os.path.exists(f"/proc/{running.pid}")


def test_a_program_that_is_stopped_and_continued_alone_is_waited_for(running: Running):
    os.kill(running.pid, signal.SIGSTOP)
    wait_for_state(running.pid, "T")
    os.kill(running.pid, signal.SIGCONT)
    assert running.reports.next() == "SIGCONT"
    running.launcher.send_signal(signal.SIGUSR2)
    assert running.launcher.wait() == 7


def wait_for_state(pid: int, state: str) -> None:
    while True:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            if file.read().rsplit(") ", 1)[1][0] == state:
                return
        select.select([], [], [], 0.001)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_folder_with_the_files_is_gone_after_a_signal(number):
    script = 'echo "$KEY"; exec sleep 60'
    command = SUPERVISE.command("sh", "-c", script, files=[("KEY", b"x", 0o600)], without_memfd=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout is not None
        path = launcher.stdout.readline().decode().strip()
        assert os.path.exists(path)
        assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
        launcher.send_signal(number)
        assert launcher.wait() == 128 + number
    assert not os.path.exists(os.path.dirname(path))


def run(code: str) -> subprocess.CompletedProcess:
    prelude = "import os, signal, sys\nfrom sindri.process import *\n"
    return subprocess.run([sys.executable, "-c", prelude + code], capture_output=True, check=False, timeout=60)


def test_the_views_may_be_wiped_as_soon_as_the_program_runs():
    done = run("""
value = bytearray(b"the value")
content = bytearray(b"the content")
reader, writer = os.pipe()
os.set_inheritable(reader, True)
def wipe():
    value[:] = bytes(len(value))
    content[:] = bytes(len(content))
    os.write(writer, b"go\\n")
    os.close(writer)
files = [FileForChild(name="KEY", view=memoryview(content), mode=0o600)]
environment = {**os.environb, b"VALUE": memoryview(value)}
script = f'read go <&{reader}; echo "$go"; echo "$VALUE"; cat "$KEY"'
sys.exit(supervise_program("/bin/sh", ["sh", "-c", script], environment, files, on_started=wipe))
""")
    assert (done.stdout, done.stderr) == (b"go\nthe value\nthe content", b"")


def test_no_copy_of_a_value_is_left_in_the_parent_while_the_program_runs(tmp_path):
    """The scanner is this process: it needs root, or else a child that stays dumpable."""
    canaries = make_canaries(20)
    for number, canary in enumerate(canaries):
        (tmp_path / str(number)).write_bytes(canary)
    script = f"""
import os
from sindri.process import FileForChild, supervise_program
from sindri.secret import SecretMemory
memory, views = SecretMemory(), []
for number in range({len(canaries)}):
    view = memory.allocate({len(canaries[0])})
    descriptor = os.open(str(number), os.O_RDONLY)
    os.readv(descriptor, [view])
    views.append(view)
environment = {{b"VALUE_%d" % number: view for number, view in enumerate(views[:10])}}
files = [FileForChild(name="KEY_%d" % number, view=view, mode=0o600) for number, view in enumerate(views[10:])]
def wipe():
    checkpoint("started")
    memory.close()
    checkpoint("wiped")
supervise_program("/bin/true", ["true"], environment, files, on_started=wipe)
"""
    with PausedChild(script, cwd=tmp_path, dumpable=scan_requirement() != ANY_CHILD) as child:
        child.wait_for("started")
        assert len(scan(child.pid, canaries)) == len(canaries)  # the views alone
        child.resume()
        child.wait_for("wiped")
        assert scan(child.pid, canaries) == []
        child.finish()


def test_what_on_started_raises_ends_the_program_and_is_raised():
    done = run("""
def fail():
    raise KeyError("lease")
try:
    supervise_program("/bin/sleep", ["sleep", "60"], os.environb, on_started=fail)
except KeyError as error:
    print(error)
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("no child")
""")
    assert (done.stdout, done.stderr) == (b"'lease'\nno child\n", b"")


def test_the_callers_signals_are_as_before_afterwards():
    done = run("""
def state():
    numbers = signal.valid_signals()
    return signal.pthread_sigmask(signal.SIG_BLOCK, ()), [signal.getsignal(n) for n in numbers], signal.sigpending()
before, open_before = state(), os.listdir("/proc/self/fd")
supervise_program("/bin/sh", ["sh", "-c", "kill -INT $PPID; kill -CHLD $PPID"], os.environb)
print(state() == before, os.listdir("/proc/self/fd") == open_before)
""")
    assert (done.stdout, done.stderr) == (b"True True\n", b"")


def test_a_caller_that_ignores_its_children_still_learns_the_exit_code():
    done = run("""
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print(supervise_program("/bin/sh", ["sh", "-c", "exit 5"], os.environb), flush=True)
supervise_program("/bin/grep", ["grep", "SigIgn", "/proc/self/status"], os.environb)
""")
    code, _, ignored = done.stdout.split()
    assert code == b"5"
    assert int(ignored, 16) & (1 << (signal.SIGCHLD - 1))


def test_the_exit_code_tells_a_signal_from_a_code_that_looks_like_one():
    done = run("""
for script in ("exit 130", "kill -INT $$", "exit 0"):
    code = supervise_program("/bin/sh", ["sh", "-c", script], os.environb)
    print(int(code), code.signal_number)
""")
    assert done.stdout.split() == [b"130", b"0", b"130", b"2", b"0", b"0"]


def test_a_bug_before_the_exec_is_raised_in_the_parent():
    done = run("""
try:
    supervise_program("/bin/true", ["true"], {b"A=B": b""})
except RuntimeError as error:
    print(error)
""")
    assert done.stdout.startswith(b"the child failed before the exec")


def test_a_failed_exec_leaves_no_child_and_no_folder(tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    folder = tmp_path / "temporary"
    folder.mkdir()
    done = SUPERVISE(
        str(script),
        files=[("KEY", b"x", 0o600)],
        without_memfd=True,
        popen={"env": {**os.environ, "TMPDIR": str(folder)}},
    )
    assert done.returncode == 127
    assert list(folder.iterdir()) == []
