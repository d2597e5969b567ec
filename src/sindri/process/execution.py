"""Turning a process into the program."""

from __future__ import annotations

import os
import sys

from sindri.errors import ProgramNotExecutableError, ProgramNotFoundError, UnrepresentableValueError, UsageError
from sindri.process.secret_files import SecretFileError, has_secret_files, make_secret_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from sindri.errors import SindriError
    from sindri.process.secret_files import FileForChild

    Environment = Mapping[bytes, bytes | memoryview]

_PAGES_PER_STRING = 32  # linux/binfmts.h: MAX_ARG_STRLEN, for `NAME=value` and its NUL
_FILE_HINT = "declare it with `source: file` and give the program the path"
_SHELL = "/bin/sh"


class ExitCode(int):
    """How a supervised program ended. Where a signal ended it the code is 128+N, and *signal_number* is N, else 0.

    A shell that runs a loop or a script stops at Ctrl-C only when it sees the signal itself: who wants that ends by
    the same signal after the clean-up.
    """

    signal_number = 0


def needs_supervision(files: Sequence[FileForChild]) -> bool:
    """Say whether `exec_program` cannot do the job here, so that `supervise_program` must."""
    return sys.platform == "win32" or (bool(files) and not has_secret_files())


def check_environment(environment: Environment) -> None:
    """Refuse values that execve(2) cannot carry, all of them in one error, by name.

    Not checked is the sum, whose limit depends on argv and the stack: the kernel answers that one.

    Raises:
        UnrepresentableValueError: a value holds a NUL, or is too long (131,071 bytes with its name and `=` on most
            Linux machines).
    """
    largest = _largest_string()
    refusals: list[str] = []
    for name, value in environment.items():
        size = len(name) + 1 + len(value)
        if size > largest:
            refusals.append(f"{os.fsdecode(name)}: {size} bytes with its name, and at most {largest} can be passed")
        elif _holds_nul(value):
            refusals.append(f"{os.fsdecode(name)}: holds a NUL byte, which no environment variable can")
    if refusals:
        raise UnrepresentableValueError(
            "The environment cannot carry these values to the command", note="\n".join(refusals), hint=_FILE_HINT
        )


def exec_program(
    program: str,
    argv: Sequence[str],
    environment: Environment,
    files: Sequence[FileForChild] = (),
) -> NoReturn:
    """Replace this process with *program*: pid, terminal, folder, umask, limits and open descriptors stay as they are.

    *program* comes from `find_program`; *argv* begins with the name as the user typed it and must hold no secret.
    Each value of *environment* is copied once into `bytes`, which execve needs and nobody can wipe; the copy goes with
    the memory of this process. *files* become sealed files in memory with `NAME=/proc/PID/fd/N`. SIGPIPE and SIGXFSZ,
    which Python ignores, get back their default. Flush the streams before: what is still buffered is lost.

    Raises:
        ProgramNotFoundError: the program, or the interpreter that it names, is gone (exit 127).
        ProgramNotExecutableError: the system does not execute it (exit 126).
        UnrepresentableValueError: a value, or all together, do not fit (exit 7).
        UsageError: this system cannot do it; see `needs_supervision`.
    """
    if needs_supervision(files):
        what = "pass secrets as files to a command" if sys.platform != "win32" else "replace itself with a command"
        raise UsageError(f"Sindri cannot {what} on this system", hint="use `sindri run --supervise`")
    check_environment(environment)
    try:
        become(program, argv, environment, files)
    except OSError as error:
        raise explain_failure(error, program, environment) from None


def become(program: str, argv: Sequence[str], environment: Environment, files: Sequence[FileForChild]) -> NoReturn:
    """Exec, with nothing checked and nothing explained: the part that a forked child does too.

    Raises:
        SecretFileError: a file could not be made.
        OSError: exec failed. In both cases descriptors and signals are as they were before.
    """
    if sys.platform == "win32":
        raise OSError("nothing can replace a process on Windows")
    # `signal` builds enums, 3 ms; this is the C module below it.
    from _signal import SIG_DFL, SIGPIPE, SIGXFSZ, getsignal, signal  # type: ignore[import-not-found]

    # An empty name is legal in a process and refused by the interpreter: it cannot be passed on.
    carried = {name: bytes(value) for name, value in environment.items() if name}
    descriptors: list[int] = []
    before = {number: getsignal(number) for number in (SIGPIPE, SIGXFSZ)}
    try:
        for file in files:
            descriptor = make_secret_file(file.view, file.mode)
            descriptors.append(descriptor)
            os.set_inheritable(descriptor, True)  # noqa: FBT003, it takes no keyword
            carried[os.fsencode(file.name)] = b"/proc/%d/fd/%d" % (os.getpid(), descriptor)
        for number in before:
            signal(number, SIG_DFL)
        _execute(program, [os.fsencode(word) for word in argv], carried)
    finally:  # reached only when exec failed
        for number, action in before.items():
            signal(number, action)
        for descriptor in descriptors:
            os.close(descriptor)


def explain_failure(error: OSError, program: str, environment: Environment) -> SindriError:
    """Return the error of ours for what execve(2), fork(2) or memfd_create(2) answered."""
    import errno

    if isinstance(error, SecretFileError):
        reason = error.strerror or "the system refused"
        return UnrepresentableValueError("Cannot make the files of the command in memory", note=reason)
    note = f"{program}: {os.strerror(error.errno) if error.errno else type(error).__name__}"
    if error.errno == errno.E2BIG:
        sizes = sorted(((len(value), name) for name, value in environment.items()), reverse=True)[:3]
        total = sum(len(name) + len(value) + 2 for name, value in environment.items())
        return UnrepresentableValueError(
            f"The environment is too large for the command: {total} bytes",
            note="the largest: " + ", ".join(f"{os.fsdecode(name)} ({size} bytes)" for size, name in sizes),
            hint=_FILE_HINT,
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        if os.path.exists(program):
            note = f"{program}: exists, but the interpreter that it names does not"
        return ProgramNotFoundError("Command not found", note=note)
    return ProgramNotExecutableError("Command cannot be executed", note=note)


def _execute(program: str, words: list[bytes], environment: dict[bytes, bytes]) -> NoReturn:
    try:
        os.execve(program, words, environment)
    except OSError as error:
        import errno

        # A script without `#!`: execvp(3), env(1) and every shell give it to /bin/sh, so what works there works here.
        if error.errno != errno.ENOEXEC or _is_binary(program):
            raise
    path = b"./" + os.fsencode(program) if program.startswith("-") else os.fsencode(program)
    os.execve(_SHELL, [os.fsencode(_SHELL), path, *words[1:]], environment)


def _is_binary(program: str) -> bool:
    """Say whether the first line holds a NUL, as bash asks before it takes a file for a script."""
    try:
        with open(program, "rb", buffering=0) as file:
            first = file.read(128)
    except OSError:  # executable and not readable: the shell could not read it either
        return True
    return b"\0" in first.split(b"\n", 1)[0]


def _largest_string() -> int:
    if sys.platform == "linux":
        return os.sysconf("SC_PAGE_SIZE") * _PAGES_PER_STRING - 1
    return sys.maxsize if sys.platform != "win32" else 32_766  # elsewhere only the sum has a limit


def _holds_nul(value: bytes | memoryview) -> bool:
    # `in` on a memoryview compares Python integers one by one; 200 KB take 5 ms, and nothing is copied.
    return (b"\0" in value) if isinstance(value, bytes) else (0 in value)
