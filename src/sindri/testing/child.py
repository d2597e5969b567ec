"""`PausedChild`: a Python child that stops at named places until its parent says go on.

The child calls `checkpoint("name")`; the parent calls `wait_for("name")`, looks at the child, and calls `resume()`.
Both wait on a pipe, so no clock is involved.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike
    from types import TracebackType
    from typing import IO, Self

# Runs in the child before the script. The pipes' numbers are all it is told. A process that holds plaintext makes
# itself non-dumpable; one that was told to stay dumpable undoes that before each stop (prctl(2), PR_SET_DUMPABLE 4).
_PROLOGUE = """\
import os as _os, sys as _sys
_sys.path.insert(0, {package_root!r})
def checkpoint(name, _to={to_parent}, _from={from_parent}, _dumpable={dumpable}):
    if _dumpable:
        import ctypes
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
    _os.write(_to, name.encode() + b"\\n")
    if _os.read(_from, 1) != b"g":
        _os._exit(97)
"""


class ChildFailedError(Exception):
    """The child ended, or did not arrive where it was awaited. The message ends with what it wrote to stderr."""


class PausedChild:
    """Runs a Python script that may call `checkpoint(name)`, which stops it until `resume()`.

    A context manager; on exit the child is gone. With *dumpable* the child makes itself readable for a parent without
    root's rights before each stop (see `scan_requirement`). The script must hold no canary: it is part of the argv.
    Other threads of the child are not stopped.
    """

    def __init__(
        self,
        script: str,
        *,
        cwd: str | PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        dumpable: bool = False,
        timeout_s: float = 60.0,
    ) -> None:
        self.script = script
        self.cwd = cwd
        self.env = env
        self.dumpable = dumpable
        self.timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._files: list[IO[bytes]] = []
        self._reading = self._writing = -1
        self._arrived = b""

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._running().pid

    def wait_for(self, name: str) -> None:
        """Return when the child stands at `checkpoint(name)`.

        Raises:
            ChildFailedError: it ended, stands at another checkpoint, or did not arrive within *timeout_s*.
        """
        while b"\n" not in self._arrived:
            ready, _, _ = select.select([self._reading], [], [], self.timeout_s)
            if not ready:
                raise self._failed(f"did not reach checkpoint {name!r} within {self.timeout_s:g} s")
            data = os.read(self._reading, 4096)
            if not data:
                status = self._running().wait(self.timeout_s)
                raise self._failed(f"ended with status {status} before checkpoint {name!r}")
            self._arrived += data
        line, _, self._arrived = self._arrived.partition(b"\n")
        if line.decode() != name:
            raise self._failed(f"stands at checkpoint {line.decode()!r}, not {name!r}")

    def resume(self) -> None:
        """Let the child go on from the checkpoint it stands at."""
        os.write(self._writing, b"g")

    def finish(self) -> str:
        """Let the child go on to its end and return what it printed.

        Raises:
            ChildFailedError: it did not end with status 0.
        """
        self.resume()
        try:
            status = self._running().wait(self.timeout_s)
        except subprocess.TimeoutExpired:
            raise self._failed(f"did not end within {self.timeout_s:g} s") from None
        if status != 0:
            raise self._failed(f"ended with status {status}")
        return self._text(0)

    def __enter__(self) -> Self:
        from_child, to_parent = os.pipe()
        from_parent, to_child = os.pipe()
        self._reading, self._writing = from_child, to_child
        # Files, not pipes: a child that prints much must not block on a parent that is scanning.
        self._files = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        prologue = _PROLOGUE.format(
            package_root=root, to_parent=to_parent, from_parent=from_parent, dumpable=self.dumpable
        )
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", prologue + self.script],
                stdin=subprocess.DEVNULL,
                stdout=self._files[0],
                stderr=self._files[1],
                cwd=self.cwd,
                env=None if self.env is None else dict(self.env),
                pass_fds=(to_parent, from_parent),
            )
        except BaseException:
            self._close()
            raise
        finally:
            os.close(to_parent)
            os.close(from_parent)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        process = self._running()
        if process.poll() is None:
            process.kill()
            process.wait()
        self._close()

    def _close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)
        for file in self._files:
            file.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("use it as a context manager: `with PausedChild(...) as child`")
        return self._process

    def _text(self, which: int) -> str:
        self._files[which].seek(0)
        return self._files[which].read().decode("utf-8", "replace")

    def _failed(self, what: str) -> ChildFailedError:
        return ChildFailedError(f"the child {what}\n{self._text(1)}".rstrip())
