"""Finding the program before anything secret is copied for it."""

from __future__ import annotations

import os
import sys

from sindri.errors import ProgramNotExecutableError, ProgramNotFoundError

_DEFAULT_SEARCH_PATH = "/bin:/usr/bin"  # what glibc's execvp searches when PATH is not set


def find_program(name: str, search_path: str | None) -> str:
    """Return the path to give to exec for *name*, found as execvp(3) finds it.

    A name with a slash is returned as it was typed, because a script sees it as its `$0`; any other name is looked
    for in *search_path*, the PATH that the program itself will get. An empty entry means the current folder. A file
    that may not be executed is passed over, and decides the error when nothing better follows.

    Raises:
        ProgramNotFoundError: there is no such file (exit 127).
        ProgramNotExecutableError: there is one, and it may not be executed, or is a folder (exit 126).
    """
    if sys.platform == "win32":
        return _find_on_windows(name, search_path)
    if "\0" in name:
        raise ProgramNotFoundError("Command not found", note="the name of the command holds a NUL character")
    if "/" in name:
        candidates = [name]
    else:
        entries = (_DEFAULT_SEARCH_PATH if search_path is None else search_path).split(":") if name else []
        candidates = [os.path.join(entry, name) for entry in entries]
    refused = ""
    for candidate in candidates:
        reason = _why_not(candidate)
        if reason is None:
            return candidate
        if reason and not refused:
            refused = f"{candidate}: {reason}"
    if refused:
        raise ProgramNotExecutableError(
            f"Command cannot be executed: {name}", note=refused, hint=_permission_hint(refused)
        )
    raise _not_found(name)


def _why_not(path: str) -> str | None:
    """Return None for a program, "" for nothing at all, else why it cannot be executed."""
    import stat

    try:
        mode = os.stat(path).st_mode
    except PermissionError:
        return "permission denied on a folder of this path"
    except (OSError, ValueError):  # not there, a loop, a name that is too long or cannot be encoded
        return ""
    if stat.S_ISDIR(mode):
        return "is a folder"
    if not stat.S_ISREG(mode):
        return "is not a regular file"
    return None if os.access(path, os.X_OK) else "permission denied"


def _permission_hint(refused: str) -> str:
    return "make it executable with `chmod +x`" if refused.endswith(": permission denied") else ""


def _not_found(name: str) -> ProgramNotFoundError:
    if " " in name.strip():
        hint = "give the command and its arguments as separate words: `sindri run -- CMD ARG ...`"
    elif "/" in name:
        hint = "the path starts at the current folder" if not name.startswith("/") else ""
    else:
        hint = "check the spelling, and the PATH that the command gets"
    return ProgramNotFoundError(f"Command not found: {name}", hint=hint)


def _find_on_windows(name: str, search_path: str | None) -> str:
    import shutil

    found = shutil.which(name, path=search_path)
    if found is None:
        raise _not_found(name)
    return found
