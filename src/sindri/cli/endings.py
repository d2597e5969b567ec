"""How the process ends when it is not by its own decision."""

from __future__ import annotations

import os

_SIGKILL = 9
"""Nobody can change what it does, so trying to is an error. Windows has no such name."""


class BrokenOutputError(Exception):
    """Who was reading standard output has gone away."""


class SignalReceivedError(BaseException):
    """A signal came while something had to be put back; *number* is which. Every `finally` on the way has run."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def let_interrupts_end_the_process() -> None:
    """Make Ctrl-C end the process at once, without a traceback and so that the shell sees the signal."""
    # `signal` builds enums, 3 ms; this is the C module below it.
    from _signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal  # type: ignore[import-not-found]

    if getsignal(SIGINT) is default_int_handler:
        signal(SIGINT, SIG_DFL)


def end_by_signal(number: int) -> int:
    """End this process by a signal, so that its parent sees that; return 128+N where the signal is blocked."""
    from _signal import SIG_DFL, signal

    if number != _SIGKILL:
        signal(number, SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


def end_like_a_broken_pipe() -> int:
    """End as a program that does not ignore SIGPIPE would have."""
    if os.name == "nt":
        return 1
    from _signal import SIGPIPE

    return end_by_signal(SIGPIPE)
