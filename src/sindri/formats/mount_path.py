"""Where a file can be put in a container before it starts."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TMPFS = ("/tmp",)  # noqa: S108 - a place in a container
"""Where the generated compose file mounts memory."""

_ENGINES_OWN = ("/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
"""What the engine mounts into every container by itself."""

# linux/limits.h: NAME_MAX, and PATH_MAX without the final NUL.
_LONGEST_PART_BYTES = 255
_LONGEST_PATH_BYTES = 4095


def refusal(path: str, *, tmpfs: Sequence[str] = TMPFS, volumes: Sequence[str] = ()) -> str | None:
    """Return why no file can be put at *path* in a container, or None.

    *tmpfs* and *volumes* are the places where the container has memory and volumes: what is copied below the first
    before the start, nobody ever sees (and `docker cp` says nothing), and the second cannot be replaced by a file.
    """
    return _spelling_refusal(path) or _place_refusal(path, tmpfs, volumes)


def _spelling_refusal(path: str) -> str | None:
    if not path.startswith("/"):
        return "it is not an absolute path"
    parts = path[1:].split("/")
    if ".." in parts:
        return "it holds the component `..`"
    if "" in parts or "." in parts:
        return "it is not the plain path of a file: write it without `//`, `/./` and a `/` at its end"
    if not all(" " <= character != "\x7f" and not "\x80" <= character <= "\x9f" for character in path):
        return "it holds a control character"
    lengths = [len(part.encode("utf-8", "surrogatepass")) for part in parts]
    if max(lengths) > _LONGEST_PART_BYTES or sum(lengths) + len(lengths) > _LONGEST_PATH_BYTES:
        return "it is too long for a path on Linux"
    return None


def _place_refusal(path: str, tmpfs: Sequence[str], volumes: Sequence[str]) -> str | None:
    for place in tmpfs:
        if _is_below(path, place):
            return f"{place} is memory, which hides what was put there before the container's start"
    for place in _ENGINES_OWN:
        if _is_below(path, place):
            return f"{place} is the container engine's own"
    if path in [volume.rstrip("/") for volume in volumes]:
        return "a volume is mounted there"
    return None


def _is_below(path: str, place: str) -> bool:
    return f"{path}/".startswith(f"{place.rstrip('/')}/")
