"""Being nobody for a while: a test that runs as root would find every file readable."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NOBODY = 65534


@contextmanager
def unprivileged() -> Iterator[None]:
    """Give up root's rights inside the context. Paths must be relative: what pytest makes only root may enter."""
    if os.geteuid() != 0:
        yield
        return
    group = os.getegid()
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


def become_nobody() -> None:
    """Give up root's rights for the rest of this process. Modules must be imported before: nobody may not read them.

    A change of the user makes a process one that cannot be dumped, and its files in /proc root's; that is undone.
    """
    if os.geteuid() != 0:
        return
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE


def run_python(script: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run *script* in a Python of its own, where `sindri` and `tests` can be imported."""
    prologue = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    command = [sys.executable, "-c", prologue + script, *arguments]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)
