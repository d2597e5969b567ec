"""Archives that `docker cp` takes and gives: pax format (POSIX.1-2017, pax, "ustar Interchange Format").

By hand and not by `tarfile`: that costs 7 ms to import and glues every file to its header in memory. What is made here
are windows into the caller's bytes, and so is what is read.
"""

from __future__ import annotations

from sindri.model import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BLOCK_BYTES = 512
_ZEROS = bytes(_BLOCK_BYTES)
_REGULAR = (b"0", b"\0", b"7")
_DIRECTORY = b"5"
_KINDS = {b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a named pipe"}
_LARGEST_ID = 8**7 - 1
"""What the seven octal digits of a header hold."""

_LARGEST_SIZE = 8**11 - 1


class TarFormatError(ValueError):
    """An archive cannot be read. The text holds nothing of any file's content."""


class ArchivedFile(Value):
    """One regular file of an archive: *name* has no leading `/`, *mode* is the permissions alone."""

    name: str
    content: bytes | memoryview
    mode: int
    uid: int
    gid: int

    def __repr__(self) -> str:
        return f"<ArchivedFile {self.name!r} {self.mode:04o} {self.uid}:{self.gid}: content hidden>"


def render(files: Sequence[ArchivedFile]) -> list[bytes | memoryview]:
    """Return the chunks of an archive of *files*, which must live until they are written.

    Directories are left to who unpacks: an entry would change the mode of one that is there. Only `.ssh` gets one,
    0700 and its file's owner, because ssh does not use keys that others could have put there.
    """
    chunks: list[bytes | memoryview] = []
    directories: set[str] = set()
    for file in files:
        before, found, _ = f"/{file.name}".partition("/.ssh/")
        directory = f"{before}/.ssh/"[1:]
        if found and directory not in directories:
            directories.add(directory)
            entry = ArchivedFile(name=directory, content=b"", mode=0o700, uid=file.uid, gid=file.gid)
            chunks += _headers(entry, _DIRECTORY)
        chunks += _headers(file, b"0")
        chunks += [file.content, _padding(len(file.content))]
    return [*chunks, _ZEROS, _ZEROS]


def _headers(file: ArchivedFile, kind: bytes) -> Iterator[bytes]:
    """Yield the header of *file*, behind a pax header for what does not fit into it."""
    name = file.name.encode()
    prefix, short_name = _split(name)
    size = len(file.content)
    records = b""
    if not name.isascii() or name not in (short_name, prefix + b"/" + short_name):
        records += _record(b"path", name)
    for key, number, largest in ((b"uid", file.uid, _LARGEST_ID), (b"gid", file.gid, _LARGEST_ID)):
        if number > largest:
            records += _record(key, b"%d" % number)
    if records:
        yield _header(b"././@PaxHeader", b"", b"x", (0o644, 0, 0, len(records)))
        yield records
        yield _padding(len(records))
    uid, gid = (number if number <= _LARGEST_ID else 0 for number in (file.uid, file.gid))
    if size > _LARGEST_SIZE:
        raise ValueError("a file of 8 GiB does not fit into an archive")
    yield _header(short_name, prefix, kind, (file.mode, uid, gid, size))


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Return *name* as the two fields of a header: 155 bytes, a `/` that is not written, 100 bytes."""
    if len(name) <= 100:
        return b"", name
    # Also for what gets a pax header: busybox reads no path from one.
    cut = name.find(b"/", len(name) - 101)
    if 0 < cut <= 155 and cut < len(name) - 1:
        return name[:cut], name[cut + 1 :]
    return b"", name[:100]


def _record(key: bytes, value: bytes) -> bytes:
    """Return one line of a pax header. Its first word is the length of the whole line, that word included."""
    rest = b" %b=%b\n" % (key, value)
    length = len(rest)
    while length != len(rest) + len(b"%d" % length):
        length = len(rest) + len(b"%d" % length)
    return b"%d%b" % (length, rest)


def _header(name: bytes, prefix: bytes, kind: bytes, numbers: tuple[int, int, int, int]) -> bytes:
    """Return the 512 bytes of one header. *numbers* are mode, uid, gid and size; the time of every file is 0."""
    before = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(100, b"\0"), *numbers, 0)
    after = b"%b%bustar\x0000%b%b" % (kind, bytes(100), bytes(80), prefix.ljust(155 + 12, b"\0"))
    # The sum is taken with blanks in its own place.
    return b"%b%06o\0 %b" % (before, sum(before) + 8 * 0x20 + sum(after), after)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK_BYTES)


def read(archive: bytes | memoryview) -> list[ArchivedFile]:
    """Return the files of *archive*, their contents as windows into it. Directories are left out.

    Understands what `docker cp CONTAINER:PATH -` gives (Go's archive/tar): ustar, pax and GNU headers.

    Raises:
        TarFormatError: it is no archive, is cut off, or holds something that is neither a file nor a directory.
    """
    view = memoryview(archive)
    files: list[ArchivedFile] = []
    pax: dict[bytes, bytes] = {}
    place = 0
    while (header := _header_at(view, place)) is not None:
        place += _BLOCK_BYTES
        kind = header[156:157]
        size = _number(pax.get(b"size"), header[124:136])
        content = view[place : place + size]
        if len(content) != size:
            raise TarFormatError("the archive ends in the middle of a file")
        place += size + len(_padding(size))
        if kind == b"x":
            pax |= _records(content)
        elif kind == b"L":
            pax.setdefault(b"path", content.tobytes().rstrip(b"\0"))
        elif kind == b"g":  # about the archive as a whole; Go writes none
            continue
        else:
            if kind in _REGULAR:
                files.append(_file(header, pax, content))
            elif kind != _DIRECTORY:
                raise TarFormatError(f"{_KINDS.get(kind, 'something unknown')} and not a file")
            pax = {}
    return files


def _header_at(view: memoryview, place: int) -> bytes | None:
    header = view[place : place + _BLOCK_BYTES].tobytes()
    if header == _ZEROS:
        return None
    if len(header) < _BLOCK_BYTES:
        raise TarFormatError("the archive has no end")
    if _number(None, header[148:156]) != sum(header[:148]) + 8 * 0x20 + sum(header[156:]):
        raise TarFormatError("a header of the archive has a wrong sum")
    return header


def _number(record: bytes | None, field: bytes) -> int:
    """Return the number of a pax record, else of a header's field: octal, or what GNU and Go write when it is large."""
    if record is None and field[0] & 0x80:
        return int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
    digits, base = (field.strip(b"\0 ") or b"0", 8) if record is None else (record, 10)
    # `int` alone would also take a sign: a negative size would send the reader back.
    if not digits.isdigit() or len(digits) > 20 or (base == 8 and (b"8" in digits or b"9" in digits)):
        raise TarFormatError("a header of the archive holds no number where one must be")
    return int(digits, base)


def _records(content: memoryview) -> dict[bytes, bytes]:
    records: dict[bytes, bytes] = {}
    rest = content.tobytes()
    while rest:
        length, blank, _ = rest.partition(b" ")
        end = _number(length, b"")
        key, equals, value = rest[len(length) + 1 : end - 1].partition(b"=")
        if not (blank and equals) or end > len(rest) or rest[end - 1 : end] != b"\n":
            raise TarFormatError("a pax header of the archive cannot be read")
        records[key] = value
        rest = rest[end:]
    return records


def _file(header: bytes, pax: dict[bytes, bytes], content: memoryview) -> ArchivedFile:
    name = pax.get(b"path")
    if name is None:
        name = header[:100].rstrip(b"\0")
        prefix = header[345:500].rstrip(b"\0")
        # GNU's own format, whose magic ends with blanks, has other things there.
        if prefix and header[257:263] == b"ustar\0":
            name = prefix + b"/" + name
    return ArchivedFile(
        name=name.decode("utf-8", "surrogateescape"),
        content=content,
        # Go adds the kind's bits to the mode of old formats.
        mode=_number(None, header[100:108]) & 0o7777,
        uid=_number(pax.get(b"uid"), header[108:116]),
        gid=_number(pax.get(b"gid"), header[116:124]),
    )
