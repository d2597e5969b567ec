"""Runs `terminal.py ANSWER COMMAND...` on a terminal of its own and types ANSWER when something has been printed."""

from __future__ import annotations

import os
import pty
import sys


def main(answer: str, command: list[str]) -> int:
    """Copy the terminal to stdout; return the command's exit code."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    answered = False
    while True:
        try:
            said = os.read(terminal, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not said:
            break
        os.write(1, said)
        if not answered:
            os.write(terminal, f"{answer}\n".encode())
            answered = True
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
