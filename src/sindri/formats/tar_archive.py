"""File secrets as a tar stream, the form in which a container engine takes files with mode and owner.

The engine extracts what the headers say (`docker cp -`), so every header says all of it: regular file, mode, numeric
owner, time 0. PAX headers carry paths that the old fields cannot.
"""

from __future__ import annotations

import io
import tarfile

from sindri.model import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SSH_FOLDER = ".ssh"
_SSH_FOLDER_MODE = 0o700
_MOUNTED_IN_MEMORY = "/tmp"  # noqa: S108 -- a path in the container


class Entry(Value):
    """One file: an absolute path in the container, its mode and owner, its content."""

    path: str
    mode: int
    uid: int
    gid: int
    content: memoryview

    def arrived_as(self, archive: bytes) -> bool:
        """Return whether *archive*, what `docker cp CONTAINER:PATH -` gave, holds this file and nothing else.

        The archive names the file without its folder. Time and owner's name are not compared.
        """
        try:
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                members = tar.getmembers()
                if len(members) != 1 or not members[0].isreg():
                    return False
                stream = tar.extractfile(members[0])
                content = b"" if stream is None else stream.read()
        except tarfile.TarError:
            return False
        member = members[0]
        return (member.mode & 0o7777, member.uid, member.gid) == (self.mode, self.uid, self.gid) and content == bytes(
            self.content
        )


def render(entries: Sequence[Entry]) -> bytes:
    """Return the archive, to be extracted at `/`.

    Folders that exist are not named, because a header would change their mode; only a `.ssh` folder is, because ssh
    refuses one that others can enter.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        made: set[str] = set()
        for entry in entries:
            name = entry.path.lstrip("/")
            folder = name.rpartition("/")[0]
            if folder.rpartition("/")[2] == _SSH_FOLDER and folder not in made:
                made.add(folder)
                tar.addfile(_header(folder, entry, kind=tarfile.DIRTYPE, mode=_SSH_FOLDER_MODE))
            header = _header(name, entry, kind=tarfile.REGTYPE, mode=entry.mode)
            header.size = len(entry.content)
            tar.addfile(header, io.BytesIO(entry.content))
    return buffer.getvalue()


def _header(name: str, entry: Entry, *, kind: bytes, mode: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type = kind
    header.mode = mode
    header.uid, header.gid = entry.uid, entry.gid
    return header


def mount_path_refusal(path: str) -> str | None:
    """Return why no file can be put at *path* in a generated container, or None."""
    if not path.startswith("/"):
        return "it is not an absolute path"
    if path == "/" or path.endswith("/"):
        return "it names a folder"
    if ".." in path.split("/"):
        return "it holds `..`"
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in path):
        return "it holds a control character"
    if f"{path}/".startswith(f"{_MOUNTED_IN_MEMORY}/"):
        return f"{_MOUNTED_IN_MEMORY} is mounted in memory when the container starts, and hides what was put there"
    return None
