"""The form of `run` in which this process stays beside the program.

The program is forked, not spawned: only its own process can make the in-memory files whose path holds its pid, and ask
to be told when its parent dies. It also keeps the plaintext where it belongs: the copies that execve needs are made
after the fork and go with the exec.

The program stays in the process group that the shell made for the job. A group of its own would cut the job in two:
in `sindri run --supervise -- CMD | less` the pager would be a background process, and the script around a Ctrl-C would
never hear of it. So the terminal's signals reach the program directly, once, and what is left to do here is to pass on
what was sent to this process alone, to stop when the program stops, and to outlive it.
"""

from __future__ import annotations

import os
import signal
import sys

if sys.platform == "win32":  # said once to the type checker as well: nothing below exists there
    raise ImportError("Windows has no fork: see sindri.process.windows")

from sindri.process.execution import ExitCode, become, explain_failure
from sindri.process.hardening import send_when_parent_dies
from sindri.process.secret_files import SecretFileError, has_secret_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Self

    from sindri.files import PrivateFolder
    from sindri.process.secret_files import FileForChild

    Environment = Mapping[bytes, bytes | memoryview]

# Blocked here and taken one by one, so that nothing ends or stops this process before the program has.
_TAKEN = frozenset(
    {
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
        signal.SIGCONT,
        signal.SIGCHLD,
        signal.SIGTSTP,
        signal.SIGTTIN,
        signal.SIGTTOU,
    }
)
_FROM_KEYBOARD = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH})
# Ignored unless there is a handler: BSD systems drop such a signal even while it is blocked.
_NEED_A_HANDLER = (signal.SIGCHLD, signal.SIGCONT, signal.SIGWINCH)
_ERRNO_BYTES = 4
_OF_A_FILE = 0x1000  # added to the errno of a SecretFileError; no errno of the system is as large


def supervise(
    program: str,
    argv: Sequence[str],
    environment: Environment,
    files: Sequence[FileForChild],
    on_started: Callable[[], None] | None,
) -> ExitCode:
    """Run *program* and return its exit code, or 128+N: see `sindri.process.supervise_program`."""
    # Blocked before anything exists that must be cleaned up. Nothing but SIGKILL ends this process from here on.
    with _BlockedSignals() as blocked, _Terminal() as terminal, _PlacedFiles(environment, files) as placed:
        try:
            child = _start(program, argv, placed, blocked)
        except OSError as error:
            raise explain_failure(error, program, environment) from None
        try:
            if on_started is not None:
                on_started()
        except BaseException:
            _send(child, signal.SIGTERM)
            _watch(child, terminal)
            raise
        return _watch(child, terminal)


def _start(program: str, argv: Sequence[str], placed: _PlacedFiles, blocked: _BlockedSignals) -> int:
    """Return the pid of the running program.

    Raises:
        OSError: what fork, memfd_create or exec answered; no child is left.
    """
    answer, report = os.pipe()  # exec closes the writing end: nothing to read means that the program runs
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            send_when_parent_dies(signal.SIGTERM)
            if os.getppid() == parent:  # else it died before it could be asked for
                blocked.release_in_child()
                become(program, argv, placed.environment, placed.files)
        except BaseException as error:  # noqa: BLE001, the parent raises what can be said of it
            number = (error.errno or 0) if isinstance(error, OSError) else 0
            number += _OF_A_FILE * isinstance(error, SecretFileError)
            os.write(report, number.to_bytes(_ERRNO_BYTES, "little"))
        finally:
            os._exit(127)  # no clean-up of the parent's, no buffers flushed twice
    os.close(report)
    try:
        failure = os.read(answer, _ERRNO_BYTES)
    finally:
        os.close(answer)
    if failure:
        os.waitpid(child, 0)
        number = int.from_bytes(failure, "little")
        if number == 0:
            raise RuntimeError("the child failed before the exec, and not by an answer of the system")
        kind = SecretFileError if number & _OF_A_FILE else OSError
        number &= ~_OF_A_FILE
        raise kind(number, os.strerror(number))
    return child


def _watch(child: int, terminal: _Terminal) -> ExitCode:
    """Pass signals on until *child* has ended; return its exit code."""
    was_continued = False  # since it last stopped, and no SIGCONT of ours accounts for it
    while True:
        number, is_shared = _take_signal(child, terminal)
        if number not in (signal.SIGCHLD, signal.SIGCONT) and not is_shared:
            _send(child, number)
        for status in _changes(child):
            if os.WIFCONTINUED(status):
                was_continued = True
            elif os.WIFSTOPPED(status):
                was_continued = False
                _stop_as_well(os.WSTOPSIG(status), terminal)
                is_shared = True  # what was taken is older than the stop
            else:
                return _exit_code(status)
        if number == signal.SIGCONT and not is_shared:
            # `fg` continues the whole group. A second SIGCONT, sent late, would undo a Ctrl-Z that came in between.
            if not was_continued:
                _send(child, number)
            was_continued = False


def _exit_code(status: int) -> ExitCode:
    if not os.WIFSIGNALED(status):
        return ExitCode(os.WEXITSTATUS(status))
    code = ExitCode(128 + os.WTERMSIG(status))
    code.signal_number = os.WTERMSIG(status)
    return code


def _take_signal(child: int, terminal: _Terminal) -> tuple[int, bool]:
    """Wait for a signal; return it, and whether the program has had it too (or sent it, as `kill 0` does).

    Linux says who sent it: the terminal is the kernel, and speaks to the whole group. A sender outside the group who
    signals the group cannot be told from one who means this process: then the program gets it twice. Elsewhere the
    sender is unknown, and the keys of a terminal are guessed from whose the terminal is.
    """
    if sys.platform == "linux":
        found = signal.sigwaitinfo(_TAKEN)
        return found.si_signo, found.si_code > 0 or found.si_pid == child
    number = signal.sigwait(_TAKEN)
    return number, number in _FROM_KEYBOARD and terminal.is_ours()


def _changes(child: int) -> Iterator[int]:
    """Yield every wait status that *child* has to report now: one SIGCHLD may stand for several."""
    while True:
        pid, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
        if pid == 0:
            return
        yield status


def _send(child: int, number: int) -> None:
    try:
        os.kill(child, number)
    except PermissionError:
        return  # the program became another user's, as sudo does: a signal to it alone would fail in the same way


def _stop_as_well(number: int, terminal: _Terminal) -> None:
    """Stop this process, so that the shell sees the job stop; return when it was continued."""
    if number == signal.SIGSTOP:
        # Somebody stopped the program alone and may continue it alone, unless a user waits at the terminal.
        if terminal.is_ours():
            os.kill(os.getpid(), number)
        return
    action = signal.getsignal(number)
    signal.signal(number, signal.SIG_DFL)
    # Sent while it is blocked: together with the one from the terminal that may be pending it stops us once, not twice.
    os.kill(os.getpid(), number)
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    signal.signal(number, action)


class _PlacedFiles:
    """Where the program finds its files: in memory of its own, or in a folder that goes when the context ends."""

    def __init__(self, environment: Environment, files: Sequence[FileForChild]) -> None:
        self.environment = environment
        self.files = files
        self._folder: PrivateFolder | None = None

    def __enter__(self) -> Self:
        if not self.files or has_secret_files():
            return self
        from sindri.files import PrivateFolder

        self._folder = PrivateFolder()
        folder = self._folder.__enter__()
        try:
            paths = {os.fsencode(file.name): folder.write(file.name, file.view, mode=file.mode) for file in self.files}
        except BaseException:
            folder.__exit__(None, None, None)
            raise
        self.environment = {**self.environment, **{name: os.fsencode(path) for name, path in paths.items()}}
        self.files = ()
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.__exit__(None, None, None)


class _BlockedSignals:
    """Holds back the signals of `_TAKEN` while it is entered."""

    def __enter__(self) -> Self:
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, _TAKEN)
        self._actions = {number: signal.signal(number, _do_nothing) for number in _NEED_A_HANDLER}
        return self

    def release_in_child(self) -> None:
        """Give the program the mask and the ignored signals that this process was started with."""
        for number in _TAKEN:
            action = self._actions.get(number, signal.getsignal(number))
            # A handler goes with the exec; until then it must not run, or Python would raise in the middle.
            signal.signal(number, signal.SIG_IGN if action == signal.SIG_IGN else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def __exit__(self, *_: object) -> None:
        # What was meant for the program came too late for it: it must not end this process during the clean-up.
        while pending := signal.sigpending() & _TAKEN - self._mask:
            signal.sigwait(pending)
        for number, action in self._actions.items():
            signal.signal(number, action)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)


def _do_nothing(*_: object) -> None:
    """Be a handler: signals with one are kept while they are blocked."""


class _Terminal:
    """The controlling terminal, if there is one."""

    def __enter__(self) -> Self:
        try:
            self._descriptor = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            self._descriptor = -1
        self._was_ours = self.is_ours()
        return self

    def is_ours(self) -> bool:
        """Say whether our process group has the keyboard now."""
        return self._foreground() == os.getpgrp()

    def _foreground(self) -> int:
        try:
            return os.tcgetpgrp(self._descriptor)
        except OSError:
            return -1

    def __exit__(self, *_: object) -> None:
        # A program that took the terminal for a group of its own, and was killed, leaves it with nobody.
        group = self._foreground()
        if self._was_ours and group > 0 and not _exists(group):
            try:
                os.tcsetpgrp(self._descriptor, os.getpgrp())  # SIGTTOU is blocked: from behind this would stop us
            except OSError:
                group = -1  # the terminal was hung up
        if self._descriptor >= 0:
            os.close(self._descriptor)


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
