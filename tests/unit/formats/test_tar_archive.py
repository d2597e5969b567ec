from __future__ import annotations

import io
import tarfile

import pytest

from sindri.formats import tar_archive
from sindri.formats.tar_archive import ArchivedFile, TarFormatError


def file(
    name: str, content: bytes | memoryview = b"", *, mode: int = 0o600, uid: int = 0, gid: int = 0
) -> ArchivedFile:
    return ArchivedFile(name=name, content=content, mode=mode, uid=uid, gid=gid)


def archive(*files: ArchivedFile) -> bytes:
    return b"".join(tar_archive.render(files))


def members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        return opened.getmembers()


def made_by_python(information: tarfile.TarInfo, content: bytes, archive_format: int) -> bytes:
    information.size = len(content)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=archive_format) as opened:
        opened.addfile(information, io.BytesIO(content))
    return stream.getvalue()


def test_a_file_has_exactly_its_mode_and_owner_and_no_time():
    (member,) = members(archive(file("etc/key", b"x", mode=0o4751, uid=1001, gid=2002)))
    assert (member.name, member.mode, member.uid, member.gid, member.mtime) == ("etc/key", 0o4751, 1001, 2002, 0)
    assert member.isreg()
    assert (member.uname, member.gname) == ("", "")


def test_only_a_folder_of_ssh_gets_an_entry_once_private_and_with_the_owner_of_its_file():
    found = members(
        archive(
            file("etc/key"),
            file("home/a/.ssh/id", uid=7, gid=8),
            file("home/a/.ssh/config", uid=7, gid=8),
            file("home/b/.ssh/keys/id", uid=9, gid=9),
            file(".ssh/id"),
            file("a/.sshd/id"),
            file("b/.ssh"),
        )
    )
    assert [(member.name, member.mode, member.uid, member.gid) for member in found if member.isdir()] == [
        ("home/a/.ssh", 0o700, 7, 8),
        ("home/b/.ssh", 0o700, 9, 9),
        (".ssh", 0o700, 0, 0),
    ]
    assert len([member for member in found if member.isreg()]) == 7


def test_an_archive_ends_with_two_empty_blocks_and_is_whole_blocks():
    data = archive(file("a", b"x" * 513))
    assert data[512 : 512 + 513] == b"x" * 513
    assert len(data) == 512 + 1024 + 1024
    assert archive() == bytes(1024)


def test_a_content_is_never_copied():
    memory = bytearray(b"hush")
    chunks = tar_archive.render([file("a", memoryview(memory))])
    memory[:] = b"gone"
    ((name, content),) = [(found.name, bytes(found.content)) for found in tar_archive.read(b"".join(chunks))]
    assert (name, content) == ("a", b"gone")


def test_what_is_read_are_windows_into_the_archive():
    data = bytearray(archive(file("a", b"hush")))
    (found,) = tar_archive.read(memoryview(data))
    data[512:516] = b"gone"
    assert bytes(found.content) == b"gone"


def test_the_content_does_not_show_when_a_file_is_printed():
    assert repr(file("a", b"hush", uid=1)) == "<ArchivedFile 'a' 0600 1:0: content hidden>"


@pytest.mark.parametrize("archive_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["key", "d/" * 60 + "key", "caf\u00e9"])
def test_the_archives_of_others_are_read(archive_format, name):
    information = tarfile.TarInfo(name)
    information.mode, information.uid, information.gid = 0o640, 1001, 1002
    information.mtime = 1_700_000_000.5 if archive_format == tarfile.PAX_FORMAT else 1_700_000_000
    data = made_by_python(information, b"value", archive_format)
    assert tar_archive.read(data) == [file(name, b"value", mode=0o640, uid=1001, gid=1002)]


@pytest.mark.parametrize("archive_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_an_owner_with_a_large_number_is_read_and_written(archive_format):
    information = tarfile.TarInfo("a")
    information.mode, information.uid, information.gid = 0o600, 2**31, 2**32 - 2
    expected = file("a", b"x", uid=2**31, gid=2**32 - 2)
    assert tar_archive.read(made_by_python(information, b"x", archive_format)) == [expected]
    (member,) = members(archive(expected))
    assert (member.uid, member.gid) == (2**31, 2**32 - 2)


def test_a_header_of_one_file_says_nothing_about_the_next():
    files = [file("\u00e9", uid=2**30), file("b", uid=1)]
    assert tar_archive.read(archive(*files)) == files


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.FIFOTYPE, "a named pipe"),
        (tarfile.CHRTYPE, "a device"),
        (b"Z", "something unknown"),
    ],
)
def test_what_is_neither_a_file_nor_a_directory_is_an_error(kind, words):
    information = tarfile.TarInfo("a")
    information.type, information.linkname = kind, "b"
    with pytest.raises(TarFormatError, match=f"{words} and not a file"):
        tar_archive.read(made_by_python(information, b"", tarfile.PAX_FORMAT))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no end"),
        (archive(file("a", b"x"))[:300], "no end"),
        (archive(file("a", b"x"))[:1024], "no end"),
        (archive(file("a", b"x" * 600))[:600], "middle of a file"),
        (b"b" + archive(file("a"))[1:], "wrong sum"),
        (b"Error response from daemon".ljust(512), "wrong sum"),
        (b"Error response from daemon".ljust(512, b"9"), "no number"),
        (b"-" * 512, "no number"),
        (archive(file("\u00e9")).replace(b" path=", b" path!"), "pax header"),
        (archive(file("\u00e9")).replace(b"11 path=", b"99 path="), "pax header"),
        (archive(file("\u00e9")).replace(b"11 path=", b"-1 path="), "no number"),
    ],
)
def test_what_is_no_whole_archive_is_an_error(data, words):
    with pytest.raises(TarFormatError, match=words):
        tar_archive.read(data)


def test_a_number_that_would_send_the_reader_back_or_take_it_hours_is_an_error():
    for digits in ("-512", "+1", "1_0", "9" * 5000):
        information = tarfile.TarInfo("a")
        information.pax_headers = {"size": digits}
        with pytest.raises(TarFormatError, match="no number"):
            tar_archive.read(made_by_python(information, b"", tarfile.PAX_FORMAT))


def test_a_header_about_the_archive_as_a_whole_is_passed_over():
    """POSIX pax allows global headers; they say nothing about a file's mode or owner here."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x"}) as tar:
        header = tarfile.TarInfo("a")
        header.size = 1
        tar.addfile(header, io.BytesIO(b"1"))
    assert [(file.name, bytes(file.content)) for file in tar_archive.read(buffer.getvalue())] == [("a", b"1")]


def test_a_file_that_the_size_field_cannot_hold_is_refused():
    class Huge(bytes):
        def __len__(self) -> int:
            return 8 * 1024**3

    with pytest.raises(ValueError, match="8 GiB"):
        tar_archive.render([tar_archive.ArchivedFile(name="a", content=Huge(), mode=0o600, uid=0, gid=0)])
