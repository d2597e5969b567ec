"""`sindri secrets set`: the value goes into one line of one file, whatever happens meanwhile."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest

from tests.cli.project import declare, run_watched, start
from tests.needs import need_program
from tests.unit.cli.terminal import Terminal

PROMPT = b"Value of API_KEY: "
ASK = "import sys; from sindri.cli.main import main; sys.exit(main(['secrets', 'set', 'API_KEY']))"
ARGUMENTS = ("secrets", "set", "API_KEY", "--stdin")


def mode_of(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_value_is_asked_for_on_the_terminal_and_not_shown(tmp_path, canary):
    declare(tmp_path, "API_KEY")
    # Standard input is somebody else's: the terminal is asked.
    with Terminal(ASK, cwd=tmp_path, stdin=subprocess.DEVNULL) as terminal:
        terminal.read_until(PROMPT)
        assert not terminal.echoes
        terminal.press(f"{canary} \n".encode())
        assert terminal.finish() == 0
        assert terminal.echoes
        shown = terminal.seen
    assert canary.encode() not in shown
    assert b"Set API_KEY in .env.local" in shown
    assert (tmp_path / ".env.local").read_text() == f"API_KEY='{canary} '\n"


@pytest.mark.parametrize(("key", "number"), [(b"\x03", signal.SIGINT), (b"\x1c", signal.SIGQUIT)])
def test_an_interrupted_prompt_gives_the_echo_back_and_writes_nothing(tmp_path, key, number):
    declare(tmp_path, "API_KEY")
    with Terminal(ASK, cwd=tmp_path) as terminal:
        terminal.read_until(PROMPT)
        terminal.press(b"half of it" + key)
        assert terminal.finish() == -number
        assert terminal.echoes
        shown = terminal.seen
    assert b"Traceback" not in shown
    assert b"half" not in shown
    assert os.listdir(tmp_path) == ["sindri.yaml"]


def test_the_end_of_input_at_the_prompt_writes_nothing(tmp_path):
    declare(tmp_path, "API_KEY")
    with Terminal(ASK, cwd=tmp_path) as terminal:
        terminal.read_until(PROMPT)
        terminal.press(b"\x04")
        assert terminal.finish() == 2
        assert b"No value was typed" in terminal.seen
    assert os.listdir(tmp_path) == ["sindri.yaml"]


@pytest.mark.parametrize(
    "typed", [b"plain", b"", b"\n", b"a\n\nb\r\n\n", b" '\"\\$`#=\t", "grün ☃".encode(), b"x" * 100_000]
)
def test_what_comes_in_comes_out_less_one_line_feed(sindri, tmp_path, typed):
    declare(tmp_path, "API_KEY")
    assert sindri(*ARGUMENTS, stdin=typed).returncode == 0
    assert sindri("secrets", "get", "API_KEY") == (0, typed.removesuffix(b"\n"), b"")


def test_a_file_is_taken_whole_with_its_last_line_feed(sindri, tmp_path):
    declare(tmp_path, "API_KEY")
    (tmp_path / "value").write_bytes(b"a\nb\n")
    assert sindri("secrets", "set", "API_KEY", "--from-file", "value").returncode == 0
    assert sindri("secrets", "get", "API_KEY").stdout == b"a\nb\n"


def test_a_new_file_is_the_owners_alone_whatever_the_umask(tmp_path):
    declare(tmp_path, "API_KEY")
    run_watched("os.umask(0)", ARGUMENTS, tmp_path, stdin=b"x")
    assert mode_of(tmp_path / ".env.local") == 0o600


def test_a_present_file_keeps_its_mode_and_every_other_byte(sindri, tmp_path):
    declare(tmp_path, "API_KEY", "OTHER")
    path = tmp_path / ".env.local"
    before = b'\xef\xbb\xbf# caf\xc3\xa9 \t\r\n\r\n  export OTHER = \'a\nb\' # c\r\nAPI_KEY=old # mine\r\n\tZ="\\""   '
    path.write_bytes(before)
    path.chmod(0o640)
    assert sindri(*ARGUMENTS, stdin=b"new").returncode == 0
    assert path.read_bytes() == before.replace(b"API_KEY=old", b"API_KEY=new")
    assert mode_of(path) == 0o640
    assert sorted(os.listdir(tmp_path)) == [".env.local", "sindri.yaml"]


def test_the_file_lies_beside_the_manifest_wherever_one_stands(sindri, tmp_path):
    declare(tmp_path, "API_KEY")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert sindri(*ARGUMENTS, cwd=below, stdin=b"x").returncode == 0
    assert sindri(*ARGUMENTS, "--env-file", "a/team.env", cwd=below, stdin=b"y").returncode == 0
    assert (tmp_path / ".env.local").read_bytes() == b"API_KEY=x\n"
    assert (tmp_path / "a" / "team.env").read_bytes() == b"API_KEY=y\n"


@pytest.mark.parametrize("target", ["real.env", "nowhere"])
def test_a_link_is_refused_and_what_it_points_to_stays(sindri, tmp_path, target):
    declare(tmp_path, "API_KEY")
    (tmp_path / "real.env").write_text("API_KEY=old\n")
    (tmp_path / ".env.local").symlink_to(target)
    done = sindri(*ARGUMENTS, stdin=b"new")
    assert done.returncode == 7
    assert b".env.local: it is a symbolic link" in done.stderr
    assert (tmp_path / "real.env").read_text() == "API_KEY=old\n"
    assert (tmp_path / ".env.local").is_symlink()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "loop"])
def test_what_is_no_file_is_refused_at_once(sindri, tmp_path, kind):
    declare(tmp_path, "API_KEY")
    path = tmp_path / ".env.local"
    name = ".env.local"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    else:
        name = "/dev/null"
    done = sindri(*ARGUMENTS, "--env-file", name, stdin=b"new")
    assert done.returncode in (3, 7)
    assert done.stdout == b""
    assert done.stderr.startswith(f"Error: Cannot read {name}: it".encode())


def test_a_full_disk_leaves_what_was_there(tmp_path):
    declare(tmp_path, "API_KEY")
    path = tmp_path / ".env.local"
    path.write_text("API_KEY=old\n")
    # A limit on the size of files fails in the middle of a write, as a disk that fills up does.
    watch = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"
    done = run_watched(watch, ARGUMENTS, tmp_path, stdin=b"x" * 10_000)
    assert done.returncode == 7
    assert done.stderr.startswith(b"Error: Cannot write ")
    assert path.read_text() == "API_KEY=old\n"
    assert sorted(os.listdir(tmp_path)) == [".env.local", "sindri.yaml"]


def test_many_at_once_lose_nothing(tmp_path):
    names = [f"KEY_{number}" for number in range(20)]
    declare(tmp_path, *names)
    running = [
        start("secrets", "set", name, "--stdin", cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for name in names
    ]
    # All of them wait for their value, so that they write at the same time.
    for process, name in zip(running, names, strict=True):
        assert process.stdin is not None
        process.stdin.write(name.encode())
        process.stdin.flush()
    for process in running:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(60) for process in running] == [0] * len(names)
    lines = (tmp_path / ".env.local").read_text().splitlines()
    assert sorted(lines) == sorted(f"{name}={name}" for name in names)
    assert sorted(os.listdir(tmp_path)) == [".env.local", "sindri.yaml"]


# Counts what the program asks of the system once it has opened .env.local, and sends a signal at the moment wanted.
AT_MOMENT = """
import _signal
moments = None
def watch(event, arguments):
    global moments
    if event == "open" and str(arguments[0]).endswith("/.env.local") and moments is None:
        moments = 0
    if moments is not None and (event in ("open", "fcntl.flock") or event.startswith("os.")):
        moments += 1
        if moments == {moment}:
            os.kill(os.getpid(), _signal.{name})
sys.addaudithook(watch)
"""


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_signal_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path, name):
    declare(tmp_path, "API_KEY")
    path = tmp_path / ".env.local"
    old, new = b"# before\nAPI_KEY=old\n", b"# before\nAPI_KEY=new\n"
    seen = set()
    for moment in range(1, 100):
        path.write_bytes(old)
        path.chmod(0o600)
        done = run_watched(AT_MOMENT.format(moment=moment, name=name), ARGUMENTS, tmp_path, stdin=b"new")
        seen.add(path.read_bytes())
        assert done.stderr == b""
        if done.returncode == 0:
            break
        assert done.returncode == -getattr(signal, name)
        left = set(os.listdir(tmp_path)) - {".env.local", "sindri.yaml"}
        if name != "SIGKILL":
            assert not left, f"at moment {moment}"
        for file in left:
            assert mode_of(tmp_path / file) & 0o077 == 0
            (tmp_path / file).unlink()
    else:
        pytest.fail("the program never came to its end")
    assert seen == {old, new}


def test_in_a_repository_a_tracked_or_unignored_file_is_warned_about(sindri, tmp_path):
    declare(tmp_path, "API_KEY")
    subprocess.run([need_program("git"), "init", "-q"], cwd=tmp_path, check=True)
    warning = b"Warning: .env.local is not ignored by git; run: echo '.env.local' >> .gitignore\n"
    assert sindri(*ARGUMENTS, stdin=b"x").stderr == warning
    subprocess.run(["git", "add", "-f", ".env.local"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text(".env.local\n")
    assert sindri(*ARGUMENTS, stdin=b"x").stderr == warning
    subprocess.run(["git", "rm", "-q", "--cached", ".env.local"], cwd=tmp_path, check=True)
    assert sindri(*ARGUMENTS, stdin=b"x").stderr == b""


def test_a_value_that_a_terminal_cuts_off_is_not_written(tmp_path):
    declare(tmp_path, "API_KEY")
    with Terminal(ASK, cwd=tmp_path) as terminal:
        terminal.read_until(PROMPT)
        terminal.press(b"x" * 5000 + b"\n")
        assert terminal.finish() == 2
    assert not (tmp_path / ".env.local").exists()


def test_more_than_a_value_may_have_is_refused(sindri, tmp_path):
    declare(tmp_path, "API_KEY")
    done = sindri(*ARGUMENTS, stdin=b"x" * (1024 * 1024 + 2))
    assert done.returncode == 5
    assert done.stderr == b"Error: Cannot read the value from standard input: it is larger than 1.0 MB\n"
    assert not (tmp_path / ".env.local").exists()


def test_standard_input_that_is_closed_is_no_empty_value(tmp_path):
    declare(tmp_path, "API_KEY")
    command = [sys.executable, "-m", "sindri", *ARGUMENTS]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *command], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 5
    assert done.stderr == b"Error: Cannot read the value from standard input: it is closed\n"
    assert not (tmp_path / ".env.local").exists()
