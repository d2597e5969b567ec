"""The only room that starts a program.

`exec_program` turns this process into the program; `supervise_program` starts it as a child and stays. Both hand over
values through the environment and through files that vanish with the program, never through argv.

Importing this room loads nothing but what a plain exec needs: `ctypes`, `fcntl` and the supervising half come in when
they are called for.
"""

from __future__ import annotations

from sindri.process.execution import ExitCode, check_environment, exec_program, needs_supervision
from sindri.process.hardening import harden
from sindri.process.search import find_program
from sindri.process.secret_files import FileForChild, has_secret_files, make_secret_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "ExitCode",
    "FileForChild",
    "check_environment",
    "exec_program",
    "find_program",
    "harden",
    "has_secret_files",
    "make_secret_file",
    "needs_supervision",
    "supervise_program",
]


def supervise_program(
    program: str,
    argv: Sequence[str],
    environment: Mapping[bytes, bytes | memoryview],
    files: Sequence[FileForChild] = (),
    *,
    on_started: Callable[[], None] | None = None,
) -> ExitCode:
    """Run *program* as a child, wait for it, and return its exit code, or 128+N when signal N ended it.

    Takes what `exec_program` takes. Values given as views are copied in the child only, so that this process can
    wipe them: *on_started* is called once, when the program runs and nothing given here is needed any more. Whatever
    has to live beside the program (the renewal of a lease) is started there too; its threads inherit a signal mask
    under which no signal reaches them.

    Call it from the main thread, after every other thread has ended, and flush the streams before.

    Raises:
        ProgramNotFoundError, ProgramNotExecutableError, UnrepresentableValueError: as `exec_program`.
    """
    import sys

    check_environment(environment)
    if sys.platform == "win32":
        from sindri.process.windows import supervise
    else:
        from sindri.process.supervision import supervise
    return supervise(program, argv, environment, files, on_started)
