"""Ctrl-C at any moment: the process ends by the signal, and nothing is said."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.project import declare, file_secret, run_watched, start

# The first audit event of a run of `main` arms the counter; at the moment wanted the signal is sent from inside.
AT_MOMENT = """
import _signal
moments = 0
def watch(event, arguments):
    global moments
    moments += 1
    if moments == {moment}:
        os.kill(os.getpid(), _signal.SIGINT)
def arm():
    import sindri.cli.main as module
    begin = module.let_interrupts_end_the_process
    def begin_and_watch():
        begin()
        sys.addaudithook(watch)
    module.let_interrupts_end_the_process = begin_and_watch
arm()
"""
COUNT = (
    AT_MOMENT.format(moment=-1)
    + """
import atexit
atexit.register(lambda: os.write(2, b"%d" % moments))
"""
)
COMMANDS = {
    "validate": ("secrets", "validate"),
    "list --json": ("secrets", "list", "--json"),
    "why": ("secrets", "why", "A"),
    "export": ("secrets", "export", "-q", "--format", "json"),
    "set": ("secrets", "set", "A", "--stdin"),
    "run --supervise": ("run", "-q", "--supervise", "--", "true"),
    "wrong usage": ("secrets", "get", "NOTHING"),
}
MOMENTS = 12


def prepare(folder: Path) -> None:
    declare(folder, "A", more=file_secret("F", "f"))
    (folder / ".env").write_text("A=hunter2\n")
    (folder / "f").write_text("x")


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_an_interrupt_at_any_moment_ends_the_process_without_a_word(tmp_path, arguments):
    prepare(tmp_path)
    run_watched(COUNT, arguments, tmp_path, stdin=b"x")  # the first run may compile modules, which takes more moments
    counted = run_watched(COUNT, arguments, tmp_path, stdin=b"x")
    total = int(counted.stderr.split()[-1])
    assert total > MOMENTS
    for step in range(MOMENTS):
        moment = 1 + step * (total - 1) // MOMENTS
        done = run_watched(AT_MOMENT.format(moment=moment), arguments, tmp_path, stdin=b"x")
        said = done.stderr if arguments[1] != "get" else done.stderr.replace(counted.stderr.rstrip(b"0123456789"), b"")
        assert (done.returncode, said) == (-signal.SIGINT, b""), f"at {moment} of {total}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "arguments",
    [("secrets", "set", "A", "--stdin"), ("secrets", "validate", "--env-file", "/dev/stdin")],
    ids=["set", "validate"],
)
def test_a_signal_while_it_waits_for_input_ends_it(tmp_path, arguments, number):
    prepare(tmp_path)
    process = start(*arguments, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    # A pipe holds 64 KiB: when more than that is gone, the program has come to reading it.
    process.stdin.write(b"A=" + b"x" * 200_000)
    process.stdin.flush()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (-number, b"", b"")
    assert not (tmp_path / ".env.local").exists()


def test_an_interrupt_that_the_caller_ignores_is_ignored(tmp_path):
    prepare(tmp_path)
    watch = AT_MOMENT.format(moment=20)
    script = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{watch}"
    done = run_watched(script, ("secrets", "get", "A"), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hunter2", b"")


def test_an_interrupt_reaches_the_command_and_not_a_handler_of_ours(tmp_path):
    prepare(tmp_path)
    script = (
        "import signal, sys; signal.signal(signal.SIGINT, lambda *_: sys.exit(7)); print('ready', flush=True); "
        "signal.pause()"
    )
    for form in ((), ("--supervise",)):
        process = start("run", "-q", *form, "--", sys.executable, "-c", script, cwd=tmp_path, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 7
        process.stdout.close()
