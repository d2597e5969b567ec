"""The hidden prompt: a secret typed on the terminal, straight into wipeable memory."""

from __future__ import annotations

import os
import sys

from sindri.cli.interrupts import CleanInterrupts
from sindri.errors import UsageError
from sindri.files import LINE_FEED, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sindri.secret import SecretMemory

# The kernel's line discipline keeps no more of a line than this (termios(3), "canonical mode").
_LONGEST_LINE_BYTES = 4095


def ask_secret(prompt: str, memory: SecretMemory, *, hint: str) -> memoryview:
    """Return one line typed on the terminal, without showing it and without its line end.

    Raises:
        UsageError: there is no terminal, or the line is longer than a terminal can take; *hint* says what else works.
    """
    if sys.platform == "win32":
        return _ask_on_windows(prompt, memory, hint=hint)
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        raise UsageError("There is no terminal to type the value on", hint=hint) from None
    try:
        write_all(terminal, [prompt.encode("ascii", "backslashreplace")])
        line = _read_hidden(terminal, memory)
        write_all(terminal, [b"\n"])
    finally:
        os.close(terminal)
    if len(line) >= _LONGEST_LINE_BYTES and line[-1] != LINE_FEED:
        raise UsageError(f"A terminal takes at most {_LONGEST_LINE_BYTES} bytes in a line", hint=hint)
    return line[:-1] if line and line[-1] == LINE_FEED else line


def _read_hidden(terminal: int, memory: SecretMemory) -> memoryview:
    import termios

    buffer = memory.allocate(_LONGEST_LINE_BYTES + 1)
    before = termios.tcgetattr(terminal)
    hidden = list(before)
    hidden[3] &= ~termios.ECHO
    with CleanInterrupts():
        try:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, hidden)
            return buffer[: os.readv(terminal, [buffer])]
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def _ask_on_windows(prompt: str, memory: SecretMemory, *, hint: str) -> memoryview:
    if not os.isatty(0):
        raise UsageError("There is no terminal to type the value on", hint=hint)
    from getpass import getpass

    return memory.store(getpass(prompt).encode("utf-8", "surrogateescape")).view()
