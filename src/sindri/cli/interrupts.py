"""Signals while something must be put back: the terminal's echo, a half-written file."""

from __future__ import annotations

import signal

from sindri.cli.endings import SignalReceivedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import NoReturn, Self

_ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name))


class CleanInterrupts:
    """While the context lasts, signals that end the process raise `SignalReceivedError` instead."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in _ENDING:
            before = signal.getsignal(number)
            # `nohup` and background jobs ignore some on purpose; None is a handler that is not Python's to put back.
            if before is not signal.SIG_IGN and before is not None:
                self._before[number] = before
                signal.signal(number, self._raise)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]

    def _raise(self, number: int, _frame: FrameType | None) -> NoReturn:
        # One is enough: a second Ctrl-C would cut short what the first one set going.
        for ending in self._before:
            signal.signal(ending, signal.SIG_IGN)
        raise SignalReceivedError(number)
