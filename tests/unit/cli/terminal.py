"""A terminal with a Python program on it: the test reads what a person would see, and types."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

TIMEOUT_S = 60


class Terminal:
    """Runs *script* with this terminal as its controlling one. *redirect* gives `Popen` other ends for 0, 1 or 2."""

    def __init__(self, script: str, *, env: Mapping[str, str] | None = None, **redirect: Any) -> None:
        self._ours, self.other_end = pty.openpty()
        ends = {"stdin": self.other_end, "stdout": self.other_end, "stderr": self.other_end, **redirect}
        terminal = self.other_end
        self.process = subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, "TERM": "xterm", **(env or {})},
            start_new_session=True,
            # As pty.fork does, which Popen's `process_group` does not.
            preexec_fn=lambda: fcntl.ioctl(terminal, termios.TIOCSCTTY, 0),  # noqa: PLW1509 -- no thread here
            pass_fds=(terminal,),
            **ends,
        )
        self.seen = b""

    def read_until(self, text: bytes) -> bytes:
        """Return everything shown so far, as soon as *text* is part of it."""
        while text not in self.seen:
            ready, _, _ = select.select([self._ours], [], [], TIMEOUT_S)
            if not ready:
                raise AssertionError(f"the terminal shows {self.seen!r} and not {text!r}")
            self.seen += os.read(self._ours, 65536)
        return self.seen

    def press(self, keys: bytes) -> None:
        """Press these keys."""
        while keys:
            keys = keys[os.write(self._ours, keys) :]

    @property
    def echoes(self) -> bool:
        """Whether what is typed is shown."""
        return bool(termios.tcgetattr(self._ours)[3] & termios.ECHO)

    def finish(self) -> int:
        """Return the exit status of the program when it has ended, with all that it has shown in `seen`."""
        status = self.process.wait(TIMEOUT_S)
        while select.select([self._ours], [], [], 0)[0]:
            self.seen += os.read(self._ours, 65536)
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self.other_end)
