"""The supervising form on Windows, where nothing can replace a process. Untested: see docs/run.md."""

from __future__ import annotations

import os

from sindri.process.execution import ExitCode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sindri.process.secret_files import FileForChild


def supervise(
    program: str,
    argv: Sequence[str],
    environment: Mapping[bytes, bytes | memoryview],
    files: Sequence[FileForChild],
    on_started: Callable[[], None] | None,
) -> ExitCode:
    """Run *program*, wait, and return its exit code. Ctrl-C reaches it through the console, and it alone decides.

    Raises:
        UsageError: secrets as files, which this version cannot give on Windows.
        ProgramNotExecutableError: Windows does not start it.
    """
    import signal
    import subprocess

    from sindri.errors import ProgramNotExecutableError, UsageError

    if files:
        raise UsageError("Sindri cannot pass secrets as files to a command on Windows")
    values = {os.fsdecode(name): os.fsdecode(bytes(value)) for name, value in environment.items()}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with subprocess.Popen([program, *argv[1:]], env=values) as child:
            values.clear()
            if on_started is not None:
                on_started()
            return ExitCode(child.wait())
    except OSError as error:
        raise ProgramNotExecutableError("Command cannot be executed", note=f"{program}: {error.strerror}") from None
    finally:
        signal.signal(signal.SIGINT, before)
