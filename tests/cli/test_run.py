"""`sindri run` as the command and its caller see it, in both forms: instead of this process, and beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.project import declare, environment_of, file_secret, start, unmeasured

FORMS = pytest.mark.parametrize("form", [(), ("--supervise",)], ids=["exec", "supervise"])
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the environment is read in /proc")
SHOW_ENVIRONMENT = ("cat", "/proc/self/environ")
SHOW_ARGUMENTS = ("-c", "import json, sys; print(json.dumps(sys.argv[1:]))")


@FORMS
@pytest.mark.parametrize("code", [0, 1, 42, 126, 255])
def test_the_exit_code_is_the_commands_own(sindri, tmp_path, form, code):
    declare(tmp_path)
    done = sindri("run", *form, "--", "sh", "-c", f"exit {code}")
    assert done == (code, b"", b"")


@FORMS
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGKILL", "SIGPIPE", "SIGQUIT"])
def test_a_command_that_a_signal_ends_is_seen_as_ended_by_it(sindri, tmp_path, form, name):
    declare(tmp_path)
    number = getattr(signal, name)
    done = sindri("run", *form, "--", "sh", "-c", f"ulimit -c 0; kill -{int(number)} $$")
    assert done == (-number, b"", b"")


@pytest.mark.parametrize("separator", [("--",), ()], ids=["with --", "without"])
@pytest.mark.parametrize("own", [(), ("--only", "A", "-q")], ids=["no options", "options"])
def test_options_behind_the_command_are_the_commands(sindri, tmp_path, separator, own):
    declare(tmp_path, "A")
    words = ["--only", "X", "--json", "-h", "--help", "--version", "--config", "no", "--", "-q", "--clean-env", ""]
    done = sindri("run", *own, *separator, sys.executable, *SHOW_ARGUMENTS, *words)
    assert done.returncode == 0
    assert json.loads(done.stdout) == words


def test_options_before_and_behind_the_word_run_are_ours(sindri, tmp_path):
    (tmp_path / "other").mkdir()
    declare(tmp_path / "other", "A")
    (tmp_path / "other" / "team.env").write_text("A=from the team\n")
    done = sindri("--config", "other/sindri.yaml", "run", "--env-file=team.env", "--only=A", "printenv", "A")
    assert done == (0, b"from the team\n", b"")


def test_a_command_that_begins_with_a_dash_stands_behind_two(sindri, tmp_path):
    declare(tmp_path)
    program = tmp_path / "-program"
    program.write_text("#!/bin/sh\necho $#\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    assert sindri("run", "--", "-program", "--", env={"PATH": path}) == (0, b"1\n", b"")
    assert sindri("run", "-program", env={"PATH": path}).returncode == 2


def test_the_debug_option_of_the_command_is_not_ours(sindri, tmp_path):
    declare(tmp_path)
    (tmp_path / ".env").write_text("not a line\n")
    declare(tmp_path, "A")
    assert b"came this way" not in sindri("run", "--", "echo", "--debug").stderr
    assert b"came this way" in sindri("run", "--debug", "--", "echo").stderr


@FORMS
def test_a_command_that_is_not_there_is_said_before_anything_is_read(sindri, tmp_path, form):
    os.mkfifo(tmp_path / "sindri.yaml")  # reading it would be refused, exit 3
    done = sindri("run", *form, "no-such-command")
    assert done.returncode == 127
    assert done.stderr.startswith(b"Error: Command not found: no-such-command\n")


@FORMS
@LINUX
def test_the_command_has_the_callers_environment_and_the_secrets_and_nothing_else(tmp_path, form):
    declare(tmp_path, "A", "GIVEN", "ABSENT")
    (tmp_path / ".env").write_text("A=1\nGIVEN=file\nOTHER=not declared\n")
    # No locale at all: Python would set LC_CTYPE for itself (PEP 538).
    caller = {"PATH": os.environ["PATH"], "GIVEN": "shell", "ODD": "a=b\n", "EMPTY": ""}
    done = subprocess.run(
        [sys.executable, "-m", "sindri", "run", "-q", *form, "--", *SHOW_ENVIRONMENT],
        cwd=tmp_path,
        env=caller,
        capture_output=True,
        check=True,
    )
    wanted = {name.encode(): value.encode() for name, value in {**caller, "A": "1"}.items()}
    assert environment_of(done.stdout) == wanted
    assert done.stderr == b""


@LINUX
@pytest.mark.parametrize(
    "locale", [{"LC_CTYPE": "C.UTF-8"}, {"LC_CTYPE": "C"}, {"LC_ALL": "C"}, {"LC_ALL": "C", "LC_CTYPE": "C.UTF-8"}]
)
def test_the_callers_locale_reaches_the_command_as_it_was_set(tmp_path, locale):
    declare(tmp_path)
    caller = {"PATH": os.environ["PATH"], **locale}
    command = [sys.executable, "-m", "sindri", "run", "--", *SHOW_ENVIRONMENT]
    done = subprocess.run(command, cwd=tmp_path, env=caller, capture_output=True, check=True)
    assert environment_of(done.stdout) == {name.encode(): value.encode() for name, value in caller.items()}


@LINUX
def test_a_clean_environment_keeps_what_is_listed_and_the_secrets(sindri, tmp_path):
    declare(tmp_path, "A", "HOME_PAGE")
    (tmp_path / ".env").write_text("A=1\n")
    kept = {name: f"/{name}" for name in ("HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ", "TMPDIR", "LANG")}
    kept |= {"PATH": os.environ["PATH"], "LC_TIME": "C", "LC_ALL": "C.UTF-8", "HOME_PAGE": "x"}
    gone = {"PATHS": "x", "LCX": "x", "LD_LIBRARY_PATHX": "x", "EDITOR": "vi"}
    measuring = dict.fromkeys(os.environ.keys() - unmeasured().keys())
    done = sindri("run", "--clean-env", "--", *SHOW_ENVIRONMENT, env={**kept, **gone, **measuring})
    wanted = {name.encode(): value.encode() for name, value in {**kept, "A": "1"}.items()}
    assert environment_of(done.stdout) == wanted


@FORMS
@LINUX
def test_values_arrive_byte_for_byte(tmp_path, form):
    declare(tmp_path, "ROWS", "EMPTY", "BYTES", "TEXT", "UMLAUT", more="  - {name: FILE, source: env, fromFile: f}\n")
    (tmp_path / ".env").write_bytes('ROWS=\'a\nb\n\n\'\nEMPTY=\nTEXT="\\"$HOME\\\\ "\nUMLAUT=grün\n'.encode())
    (tmp_path / "f").write_bytes(bytes(range(1, 256)) + b"\r\n\n")
    environment = {**unmeasured(), "BYTES": os.fsdecode(b"\xff\xfe=\x80")}
    command = [sys.executable, "-m", "sindri", "run", *form, "--", *SHOW_ENVIRONMENT]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    seen = environment_of(done.stdout)
    assert seen[b"ROWS"] == b"a\nb\n\n"
    assert seen[b"EMPTY"] == b""
    assert seen[b"BYTES"] == b"\xff\xfe=\x80"
    assert seen[b"TEXT"] == b'"$HOME\\ '
    assert seen[b"UMLAUT"] == "grün".encode()
    assert seen[b"FILE"] == bytes(range(1, 256)) + b"\r\n"


@FORMS
def test_only_limits_what_the_command_gets(sindri, tmp_path, form):
    declare(tmp_path, "A", "B", more="  - {name: NEEDED, source: env, required: true}\n")
    (tmp_path / ".env").write_text("A=1\nB=2\n")
    done = sindri("run", *form, "--only", " A ,", "--", "sh", "-c", "echo $A${B-unset}")
    assert done == (0, b"1unset\n", b"")


@FORMS
def test_folder_and_standard_input_are_the_callers(sindri, tmp_path, form):
    declare(tmp_path)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    done = sindri("run", *form, "--", "sh", "-c", "pwd; cat", cwd=below, stdin=b"\0typed\xff\n")
    assert done == (0, f"{below}\n".encode() + b"\0typed\xff\n", b"")


def test_the_command_is_this_process_or_its_child(tmp_path):
    declare(tmp_path)
    for form, line in (((), "echo $$"), (("--supervise",), "echo $PPID")):
        process = start("run", *form, "--", "sh", "-c", line, cwd=tmp_path, stdout=subprocess.PIPE)
        out, _ = process.communicate(timeout=60)
        assert int(out) == process.pid


READ_TWICE = (
    "import os, json; p = os.environ['KEY']; print(json.dumps([p, *(open(p, 'rb').read().hex() for _ in '12')]))"
)


@FORMS
@pytest.mark.parametrize("mode", ["0600", "0444", "0755"])
def test_a_file_is_a_path_that_can_be_read_again_and_vanishes_with_the_command(sindri, tmp_path, form, mode):
    content = bytes(range(256)) * 300
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "key").chmod(0o600)
    declare(tmp_path, more=file_secret("KEY", "key", permissions=f'"{mode}"'))
    script = f"{READ_TWICE}; print(oct(os.stat(p).st_mode & 0o7777))"
    # A variable of that name is not the value of a file, and does not reach the command.
    done = sindri("run", *form, "--", sys.executable, "-c", script, env={"KEY": "shell"})
    assert done.stderr == b""
    shown, seen_mode = done.stdout.decode().splitlines()
    path, *read = json.loads(shown)
    assert read == [content.hex()] * 2
    assert seen_mode == oct(int(mode, 8))
    assert not Path(path).exists()


@LINUX
@FORMS
def test_the_longest_value_that_fits_arrives_and_one_byte_more_is_refused(sindri, tmp_path, form):
    longest = os.sysconf("SC_PAGE_SIZE") * 32 - 1 - len("BIG=")
    declare(tmp_path, more="  - {name: BIG, source: env, fromFile: big}\n")
    (tmp_path / "big").write_bytes(b"x" * longest)
    assert sindri("run", *form, "--", "sh", "-c", "echo ${#BIG}").stdout == f"{longest}\n".encode()
    (tmp_path / "big").write_bytes(b"x" * (longest + 1))
    done = sindri("run", *form, "--", "echo", "started")
    assert (done.returncode, done.stdout) == (7, b"")
    assert done.stderr.startswith(b"Error: The environment cannot carry these values to the command\n  BIG: ")
    assert len(done.stderr) < 400


@LINUX
@FORMS
def test_values_that_fit_one_by_one_and_not_together_are_refused_by_name(sindri, tmp_path, form):
    names = [f"S{number}" for number in range(os.sysconf("SC_ARG_MAX") // 100_000 + 2)]
    (tmp_path / "big").write_bytes(b"x" * 100_000)
    declare(tmp_path, more="".join(f"  - {{name: {name}, source: env, fromFile: big}}\n" for name in names))
    done = sindri("run", *form, "--", "echo", "started")
    assert (done.returncode, done.stdout) == (7, b"")
    assert done.stderr.startswith(b"Error: The environment is too large for the command: ")
    assert b"the largest: S" in done.stderr


def test_the_command_is_looked_for_in_the_callers_path(sindri, tmp_path):
    declare(tmp_path, "PATH")
    (tmp_path / ".env").write_text("PATH=/nowhere\n")
    # The shell's own PATH wins over the file; only without one does the file's reach the command.
    assert sindri("run", "--", "sh", "-c", "echo $PATH").stdout.decode().strip() == os.environ["PATH"]
    done = sindri("run", "--", "/bin/sh", "-c", "echo $PATH", env={"PATH": None})
    assert done.stdout == b"/nowhere\n"
    assert done.stderr == b"Warning: PATH is set for the command; it changes how programs are found or started\n"


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_the_command_finds_closed_what_its_caller_closed(tmp_path, closed):
    declare(tmp_path, "A")
    (tmp_path / ".env").write_text("A=1\n")
    script = f"import os, sys\ntry:\n    os.fstat({closed})\nexcept OSError:\n    sys.exit(0)\nsys.exit(5)"
    command = [sys.executable, "-m", "sindri", "run", "--", sys.executable, "-S", "-c", script]
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}>&-', "sh", *command], cwd=tmp_path, check=False)
    assert done.returncode == 0


@FORMS
def test_nothing_is_said_when_there_is_nothing_to_say(sindri, tmp_path, form):
    declare(tmp_path, "A", "B")
    (tmp_path / ".env").write_text("A=1\n")
    assert sindri("run", *form, "--", "true").stderr == b"Note: not set, because optional and not found: B\n"
    assert sindri("run", *form, "--quiet", "--", "true") == (0, b"", b"")
