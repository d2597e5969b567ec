"""The part of an interactive shell that does job control: one foreground job on a terminal of its own.

argv: the terminal, the descriptor where it says what happened, the descriptor where it is told what to do, the job.
Says `stopped N`, waits for `fg`, says `continued`; in the end says `ended CODE true|false`, the word being whether the
job's group had the terminal until then.
"""

from __future__ import annotations

import os
import signal
import sys


def main(terminal: str, events: int, commands: int, job: list[str]) -> None:
    tty = os.open(terminal, os.O_RDWR)  # a session leader without a terminal gets this one
    for descriptor in (0, 1, 2):
        os.dup2(tty, descriptor)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.set_inheritable(events, False)
        os.set_inheritable(commands, False)
        os.execv(job[0], job)
    while True:
        _, status = os.waitpid(pid, os.WUNTRACED)
        had_terminal = os.tcgetpgrp(0) == pid
        os.tcsetpgrp(0, os.getpgrp())
        if not os.WIFSTOPPED(status):
            code = os.waitstatus_to_exitcode(status)
            os.write(events, f"ended {code} {str(had_terminal).lower()}\n".encode())
            return
        os.write(events, f"stopped {os.WSTOPSIG(status)}\n".encode())
        os.read(commands, 2)
        os.tcsetpgrp(0, pid)
        os.killpg(pid, signal.SIGCONT)
        os.write(events, b"continued\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
