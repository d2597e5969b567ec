"""A program that writes every signal it gets, one word a line, to the descriptor in argv[1]; SIGUSR2 ends it with 7.

Its first line is `ready PID`. Where argv[2] is `stops`, SIGTSTP keeps its default, so that the terminal stops it; where
it is `takes`, the program moves into a group of its own and takes the terminal, as an interactive shell does.
"""

from __future__ import annotations

import os
import signal
import sys

NAMES = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT", "SIGTSTP"]


def main(report: int, kind: str) -> int:
    taken = {getattr(signal, name) for name in NAMES if not (name == "SIGTSTP" and kind == "stops")}
    signal.pthread_sigmask(signal.SIG_BLOCK, taken)
    if kind == "takes":
        os.setpgid(0, 0)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        os.tcsetpgrp(0, os.getpgrp())
    os.write(report, b"ready %d\n" % os.getpid())
    while True:
        number = signal.sigwaitinfo(taken).si_signo
        if number == signal.SIGUSR2:
            return 7
        os.write(report, signal.Signals(number).name.encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))
