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

# The kernel's line discipline keeps no more of a line than this, and drops the rest of a longer one without a word
# (termios(3), "canonical mode"): a line that fills it may have been longer.
_LONGEST_LINE_BYTES = 4095


def ask_secret(prompt: str, memory: SecretMemory, *, hint: str) -> memoryview:
    """Return one line typed on the terminal, without showing it and without its line end.

    Raises:
        UsageError: there is no terminal, nothing was typed (an empty line is something, Ctrl-D is nothing), or the line
            is longer than a terminal can take; *hint* says what else works.
    """
    if sys.platform == "win32":
        return _ask_on_windows(prompt, memory, hint=hint)
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        raise UsageError("There is no terminal to type the value on", hint=hint) from None
    try:
        line = _read_hidden(terminal, prompt.encode("ascii", "backslashreplace"), memory)
        write_all(terminal, [b"\n"])
    finally:
        os.close(terminal)
    if not line:
        raise UsageError("No value was typed", hint=hint)
    value = line[:-1] if line[-1] == LINE_FEED else line
    if len(value) >= _LONGEST_LINE_BYTES:
        raise UsageError(f"A terminal takes less than {_LONGEST_LINE_BYTES} bytes in a line", hint=hint)
    return value


def _read_hidden(terminal: int, prompt: bytes, memory: SecretMemory) -> memoryview:
    import termios

    buffer = memory.allocate(_LONGEST_LINE_BYTES + 1)
    before = termios.tcgetattr(terminal)
    hidden = list(before)
    hidden[3] &= ~termios.ECHO
    with CleanInterrupts():
        try:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, hidden)
            write_all(terminal, [prompt])  # not before: what is typed from here on is hidden, and kept
            return _read_line(terminal, buffer)
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def _read_line(terminal: int, buffer: memoryview) -> memoryview:
    filled = 0
    # Ctrl-D behind some text hands over what is there and ends nothing; with nothing before it, it is the end.
    while filled < len(buffer):
        count = os.readv(terminal, [buffer[filled:]])
        filled += count
        if count == 0 or buffer[filled - 1] == LINE_FEED:
            break
    return buffer[:filled]


def _ask_on_windows(prompt: str, memory: SecretMemory, *, hint: str) -> memoryview:
    if not os.isatty(0):
        raise UsageError("There is no terminal to type the value on", hint=hint)
    from getpass import getpass

    return memory.store(getpass(prompt).encode("utf-8", "surrogateescape")).view()
