"""What the program gets and what its caller sees, in both forms of `run` unless a test says otherwise."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import pytest

from sindri.errors import UnrepresentableValueError
from sindri.process import FileForChild, check_environment, exec_program, needs_supervision
from tests.needs import need_program
from tests.unit.process.launching import Launch, python

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

PRINT_ENVIRONMENT = "import os, sys; sys.stdout.buffer.write(os.environb[sys.argv[1].encode()])"


# --- the end of the program ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 3, 126, 255])
def test_the_exit_code_is_the_programs_own(launch: Launch, code):
    assert launch("sh", "-c", f"exit {code}").returncode == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE, signal.SIGINT])
def test_death_by_a_signal_is_seen(launch: Launch, number):
    expected = -number if launch.form == "exec" else 128 + number
    assert launch("sh", "-c", f"kill -{int(number)} $$").returncode == expected


# --- what the program gets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("views", [False, True])
@pytest.mark.parametrize("value", [b"", b"plain", bytes(range(1, 256)), b"a\nb\r\n", b"\xff\xfe", b"$HOME `id` \\"])
def test_values_arrive_byte_for_byte(launch: Launch, value, views):
    done = launch(*python(PRINT_ENVIRONMENT, "NAME"), values={"NAME": value}, views=views)
    assert (done.stdout, done.stderr) == (value, b"")


def test_arguments_arrive_byte_for_byte_and_the_first_is_the_name_as_typed(launch: Launch):
    word = os.fsdecode(b"\xff \n'\"")
    done = launch("sh", "-c", 'printf "%s|%s|%s" "$0" "$1" "$2"', "name", word, "")
    assert done.stdout == b"name|\xff \n'\"|"


def test_the_largest_value_that_linux_carries_arrives(launch: Launch):
    value = b"x" * (32 * os.sysconf("SC_PAGE_SIZE") - 1 - len("NAME="))
    code = "import os; print(len(os.environb[b'NAME']))"
    assert launch(*python(code), values={"NAME": value}).stdout.strip() == b"%d" % len(value)


@linux_only
def test_signals_are_as_if_the_caller_had_started_the_program_itself(launch: Launch):
    command = ["grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"]
    direct = subprocess.run(command, capture_output=True, check=True).stdout
    assert _usual(launch(*command).stdout) == _usual(direct)
    assert b"SigIgn:\t0000000000000000" in _usual(direct)


def _usual(status: bytes) -> bytes:
    """Return the masks without signals 32 and 33, glibc's own, which a child of CPython 3.13 may find ignored."""
    lines = [line.split(b"\t") for line in status.splitlines()]
    return b"".join(b"%b\t%016x\n" % (name, int(mask, 16) & ~(0b11 << 31)) for name, mask in lines)


@linux_only
def test_a_signal_that_the_caller_ignores_stays_ignored(launch: Launch):
    command = ["grep", "^SigIgn:", "/proc/self/status"]
    script = 'trap "" HUP INT CHLD; exec "$@"'
    done = subprocess.run(["sh", "-c", script, "sh", *launch.command(*command)], capture_output=True, check=True)
    ignored = int(done.stdout.split()[1], 16)
    # dash does not ignore CHLD itself; what it hands on is compared with a direct exec.
    direct = subprocess.run(["sh", "-c", script, "sh", *command], capture_output=True, check=True)
    assert ignored == int(direct.stdout.split()[1], 16)
    assert ignored & (1 << (signal.SIGHUP - 1))


@linux_only
def test_no_descriptor_leaks(launch: Launch):
    code = "import os; print(*sorted(os.listdir('/proc/self/fd')))"
    direct = subprocess.run(python(code), capture_output=True, check=True).stdout
    assert launch(*python(code), harden=True).stdout == direct


def test_a_descriptor_of_the_caller_stays_open(launch: Launch):
    reader, writer = os.pipe()
    try:
        launch("sh", "-c", f"echo here >/dev/fd/{writer}", popen={"pass_fds": (writer,)})
        assert os.read(reader, 100) == b"here\n"
    finally:
        os.close(reader)
        os.close(writer)


def test_folder_umask_and_limits_are_kept(launch: Launch, tmp_path):
    code = "import os, resource as r; print(os.getcwd(), os.umask(0), [r.getrlimit(n) for n in range(10)])"

    def prepare():
        os.umask(0o027)
        resource.setrlimit(resource.RLIMIT_NOFILE, (333, 333))

    # The kernel counts the locked and in-memory things of a process, never its limits: all ten are compared.
    direct = subprocess.run(python(code), capture_output=True, check=True, cwd=tmp_path, preexec_fn=prepare).stdout
    done = launch(*python(code), popen={"cwd": tmp_path, "preexec_fn": prepare}, harden=True)
    assert done.stdout == direct
    assert b"333" in direct


def test_the_replacing_form_keeps_the_process_and_the_other_makes_a_child(launch: Launch):
    with subprocess.Popen(launch.command(*python("import os; print(os.getpid())")), stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert (int(started.stdout.read()) == started.pid) == (launch.form == "exec")


# --- scripts and failures -------------------------------------------------------------------------------------------


def test_a_script_without_an_interpreter_line_is_run_by_sh_as_env_does(launch: Launch, tmp_path):
    script = tmp_path / "-script"
    script.write_text('echo "$0 $1"; exit 4\n')
    script.chmod(0o755)
    done = launch("./-script", "argument", popen={"cwd": tmp_path})
    assert (done.stdout, done.returncode) == (b"./-script argument\n", 4)
    path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert launch("-script", "x", popen={"env": path}).stdout == f"{script} x\n".encode()


def test_a_binary_of_no_known_kind_is_not_given_to_sh(launch: Launch, tmp_path):
    binary = tmp_path / "binary"
    binary.write_bytes(b"\x7fELF\0\0\0\0")
    binary.chmod(0o755)
    done = launch(str(binary))
    assert done.returncode == 126
    assert done.stderr.startswith(b"command-not-executable: ")
    assert str(binary).encode() in done.stderr


def test_a_missing_interpreter_is_127_and_said(launch: Launch, tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    done = launch(str(script))
    assert done.returncode == 127
    assert b"the interpreter that it names does not" in done.stderr


@pytest.mark.parametrize(("name", "code"), [("no-such-program", 127), ("/", 126), ("/etc/passwd", 126)])
def test_what_cannot_be_run_is_an_error_before_anything_starts(launch: Launch, name, code):
    assert launch(name).returncode == code


def test_an_environment_that_is_too_large_is_refused_with_the_largest_by_name_and_no_value(launch: Launch, canary):
    values = {f"BIG_{n}": (canary.encode() * 4000)[: 100_000 + n] for n in range(60)}
    done = launch("true", values=values)
    assert done.returncode == 7
    assert b"unrepresentable: " in done.stderr
    assert b"BIG_59 (100059 bytes), BIG_58 (100058 bytes), BIG_57 (100057 bytes)" in done.stderr
    assert canary.encode() not in done.stderr + done.stdout


def test_values_that_no_environment_holds_are_refused_together_by_name(canary):
    limit = 32 * os.sysconf("SC_PAGE_SIZE") - 1
    secret = canary.encode()
    environment = {
        b"FINE": secret,
        b"LONG": secret.ljust(limit - 4, b"x"),
        b"NULL": secret + b"\0",
        b"VIEW": memoryview(secret + b"\0"),
        b"LAST": secret.ljust(limit - 5, b"x"),
    }
    with pytest.raises(UnrepresentableValueError) as caught:
        check_environment(environment)
    assert caught.value.exit_code == 7
    assert [line.split(":")[0] for line in caught.value.note.splitlines()] == ["LONG", "NULL", "VIEW"]
    assert canary not in str(caught.value)


def test_a_failed_exec_leaves_the_process_as_it_was(tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    files = [FileForChild(name="KEY", view=memoryview(b"x"), mode=0o600)] if sys.platform == "linux" else []
    before = (set(os.listdir("/dev/fd")), signal.getsignal(signal.SIGPIPE), signal.getsignal(signal.SIGXFSZ))
    with pytest.raises(Exception, match="Command not found"):
        exec_program(str(script), ["script"], {}, files)
    after = (set(os.listdir("/dev/fd")), signal.getsignal(signal.SIGPIPE), signal.getsignal(signal.SIGXFSZ))
    assert after == before


# --- secrets as files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"text\n", bytes(range(256)) * 1000])
def test_a_file_has_its_exact_content_and_mode_for_the_program_and_its_children(launch_with_files, content):
    script = 'stat -L -c %a "$KEY"; sh -c \'cat "$KEY"\''
    files = [("KEY", content, 0o640), ("OTHER", b"other", 0o600)]
    done = launch_with_files("sh", "-c", script, files=files, harden=True)
    assert (done.stdout, done.stderr) == (b"640\n" + content, b"")


@pytest.mark.parametrize("end", ["exit 0", "kill -9 $$"])
def test_a_file_is_gone_with_the_program(launch_with_files, end):
    path = launch_with_files("sh", "-c", f'echo "$KEY"; {end}', files=[("KEY", b"x", 0o600)]).stdout.decode()
    assert path.startswith("/")
    assert not os.path.lexists(path.strip())


@linux_only
def test_a_file_in_memory_is_named_by_the_process_and_sealed(launch: Launch):
    code = """
import os
path = os.environ["KEY"]
print(os.getpid(), path)
try:
    with open(path, "ab", buffering=0) as file:
        file.write(b"y")
except PermissionError:
    print("sealed")
print(open(path).read())
"""
    done = launch(*python(code), files=[("KEY", b"content", 0o600)])
    first, sealed, content = done.stdout.decode().splitlines()
    pid, path = first.split()
    assert path.startswith(f"/proc/{pid}/fd/")
    assert (sealed, content) == ("sealed", "content")


@linux_only
def test_a_script_that_uses_the_single_digits_does_not_lose_the_file(launch: Launch):
    script = 'exec 3>/dev/null 4>/dev/null 5>/dev/null 9>/dev/null; cat "$KEY"'
    assert launch("sh", "-c", script, files=[("KEY", b"content", 0o600)]).stdout == b"content"


@linux_only
def test_a_user_without_privileges_reads_the_file_too(launch: Launch):
    if os.getuid() != 0:
        pytest.skip("the tests run without privileges anyway")
    # The hardened launcher is started by the user itself: its /proc entries belong to root until the exec.
    code = """
import ctypes, fcntl, os, sys  # before the privileges go: the interpreter may lie where only root can read
import sindri.errors, sindri.process, sindri.process.supervision
from sindri.process import *
os.setgid(65534); os.setuid(65534); harden()
words = ["sh", "-c", 'stat -L -c %a "$KEY"; sh -c "cat \\\\$KEY"']
files = [FileForChild(name="KEY", view=memoryview(b"content"), mode=0o400)]
if sys.argv[1] == "exec":
    exec_program("/bin/sh", words, os.environb, files)
sys.exit(supervise_program("/bin/sh", words, os.environb, files))
"""
    # Without measuring its coverage: where that is written down belongs to root.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    argv = [sys.executable, "-c", code, launch.form]
    done = subprocess.run(argv, capture_output=True, check=False, cwd="/", env=env)
    assert (done.stdout, done.stderr) == (b"400\ncontent", b"")


def test_ssh_keygen_takes_a_private_key_from_the_file(launch_with_files, tmp_path):
    need_program("ssh-keygen")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
    done = launch_with_files(
        "sh",
        "-c",
        'ssh-keygen -y -f "$KEY"',
        files=[("KEY", key.read_bytes(), 0o600)],
    )
    assert done.stdout.split()[:2] == (tmp_path / "key.pub").read_bytes().split()[:2], done.stderr


def test_without_files_in_memory_the_replacing_form_names_the_other():
    done = Launch("exec")("true", files=[("KEY", b"x", 0o600)], without_memfd=True)
    assert done.returncode == 2
    assert b"--supervise" in done.stderr


def test_files_alone_decide_whether_a_parent_must_stay(monkeypatch):
    file = FileForChild(name="KEY", view=memoryview(b"x"), mode=0o600)
    assert not needs_supervision([])
    if sys.platform == "linux":
        assert not needs_supervision([file])
        monkeypatch.delattr(os, "memfd_create")
    assert needs_supervision([file])


@linux_only
def test_a_file_that_cannot_be_made_is_not_blamed_on_the_command(launch: Launch):
    def prepare():
        # Too few for the descriptors from 64 up. A limit of file sizes would also cut what coverage writes.
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    done = launch("true", files=[("KEY", b"x", 0o600)], popen={"preexec_fn": prepare})
    assert done.returncode == 7
    assert b"Cannot make the files of the command in memory\n  Invalid argument" in done.stderr
