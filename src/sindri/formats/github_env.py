"""What GitHub's runner reads: the file named by `GITHUB_ENV`, and `::add-mask::` commands on standard output.

The rules are those of actions/runner: `FileCommandManager.cs` for the file, `ActionCommand.cs` and
`ActionCommandManager.cs` for the commands, `GitHubContext.cs` and `RunnerContext.cs` for the names.
"""

from __future__ import annotations

import os
import sys

from sindri.errors import UnrepresentableValueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# The runner sets these again for every step, after it has read the file: what we write there would be lost. Not all of
# GITHUB_*: GITHUB_TOKEN and the like are ordinary names, which the runner passes on.
_SET_BY_RUNNER = frozenset(
    f"GITHUB_{name}"
    for name in (
        "ACTION ACTIONS ACTION_PATH ACTION_REF ACTION_REPOSITORY ACTOR ACTOR_ID API_URL ARTIFACTS ARTIFACTS_LIST "
        "BASE_REF ENV EVENT_NAME EVENT_PATH GRAPHQL_URL HEAD_REF JOB OUTPUT PATH REF REF_NAME REF_PROTECTED REF_TYPE "
        "REPOSITORY REPOSITORY_ID REPOSITORY_OWNER REPOSITORY_OWNER_ID RETENTION_DAYS RUN_ATTEMPT RUN_ID RUN_NUMBER "
        "SERVER_URL SHA STATE STEP_SUMMARY TRIGGERING_ACTOR WORKFLOW WORKFLOW_REF WORKFLOW_SHA WORKSPACE"
    ).split()
)
# A shorter mask would blank half of the log.
_SHORTEST_MASK = 4


def refusal(name: str, value: bytes, *, windows: bool = sys.platform == "win32") -> str | None:
    """Return why *value* cannot be given to later steps as *name*, or None. The reason holds nothing of the value.

    *windows*: whether the runner is one for Windows, which ends lines at CR LF too.
    """
    if not (name.isascii() and name.isidentifier()):
        return "the name is not made of A-Z a-z 0-9 _, or begins with a digit"
    if _is_the_runners(name):
        return "GitHub's runner does not take a variable of this name from a step"
    if b"\0" in value:
        return "it contains a NUL byte, which no environment variable can hold"
    try:
        value.decode()
    except UnicodeDecodeError:
        return "it is not valid UTF-8, and GitHub's runner reads the file as text"
    if windows and value.endswith(b"\r"):
        return "it ends with a carriage return, which GitHub's runner on Windows takes for a part of the line's end"
    return None


def render(items: Sequence[tuple[str, bytes]], *, random_bytes: Callable[[int], bytes] = os.urandom) -> bytes:
    """Return the lines to append to the file named by `GITHUB_ENV`, which must end with a newline or be empty.

    Raises:
        UnrepresentableValueError: a value would not arrive, or not as it is.
    """
    return b"".join(_block(name, value, random_bytes) for name, value in items)


def render_masks(items: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the commands that hide every value, and every line of it, in the log. Printed before anything else.

    Pieces that are blank or shorter than four characters get no mask.

    Raises:
        UnrepresentableValueError: a value would not arrive, or not as it is.
    """
    for name, value in items:
        _check(name, value)
    pieces = dict.fromkeys(piece for _, value in items for piece in _pieces(value.decode()))
    return "".join(f"::add-mask::{_escaped(piece)}\n" for piece in pieces).encode()


def _is_the_runners(name: str) -> bool:
    upper = name.upper()  # on Windows names have no case, and the block list (NODE_OPTIONS) is compared without it
    return upper in _SET_BY_RUNNER or upper.startswith("RUNNER_") or upper in ("CI", "NODE_OPTIONS")


def _check(name: str, value: bytes) -> None:
    reason = refusal(name, value)
    if reason is not None:
        raise UnrepresentableValueError(f"Secret {name} cannot be written to GITHUB_ENV: {reason}.")


def _block(name: str, value: bytes, random_bytes: Callable[[int], bytes]) -> bytes:
    _check(name, value)
    # Random, so that no value can be made to end its own block and set other variables.
    delimiter = b"SINDRI_" + random_bytes(16).hex().encode()
    while delimiter in value:
        delimiter = b"SINDRI_" + random_bytes(16).hex().encode()
    return b"%b<<%b\n%b\n%b\n" % (name.encode(), delimiter, value, delimiter)


def _pieces(text: str) -> Iterator[str]:
    # Logs are masked line by line, and a line of output ends at CR, LF or both (.NET's TextReader.ReadLine).
    for piece in (text, *text.replace("\r", "\n").split("\n")):
        if len(piece) >= _SHORTEST_MASK and piece.strip():
            yield piece


def _escaped(data: str) -> str:
    return data.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
