"""What keeps other programs of the same user away from the plaintext in this process."""

from __future__ import annotations

import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_DUMPABLE = 4


def harden() -> bool:
    """Make this process one that dumps no core and that no other process of the same user can read or trace.

    The return value says whether the system did it. Linux only: the flag belongs to the memory image, so exec clears
    it and the program that follows can be debugged as usual. Limits such as `RLIMIT_CORE` would survive the exec and
    are left alone. macOS and Windows offer nothing that exec clears: there the values are as readable as those of any
    process of the user. Costs about 3 ms, nearly all of it the import of `ctypes`.
    """
    return _prctl(_PR_SET_DUMPABLE, 0)


def send_when_parent_dies(signal_number: int) -> bool:
    """Ask the kernel to send *signal_number* to this process when the thread that forked it ends. Linux only.

    It survives exec, but not the exec of a set-user-ID program.
    """
    return _prctl(_PR_SET_PDEATHSIG, signal_number)


def _prctl(option: int, argument: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):  # an interpreter built without ctypes, or a static one
        return False
    # prctl is variadic and reads unsigned longs: plain ints would leave the upper half of the slots to chance.
    return bool(prctl(option, *(ctypes.c_ulong(word) for word in (argument, 0, 0, 0))) == 0)
