"""Reading into wipeable memory, and writing so that nobody ever sees half a file."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading

import pytest

from sindri import files
from sindri.errors import OutputError
from sindri.files import (
    PrivateFolder,
    UnsuitableFileError,
    append_to,
    describe_os_error,
    open_regular,
    read_secret_descriptor,
    read_secret_file,
    read_secret_pipe,
    size_text,
    write_all,
    write_atomically,
)
from sindri.locks import FolderLock
from sindri.secret import SecretMemory
from tests.unprivileged import NOBODY, unprivileged

LIMIT = 1024 * 1024


@pytest.fixture
def memory():
    with SecretMemory() as memory:
        yield memory


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in a folder that nobody may enter and write, with a known umask."""
    tmp_path.chmod(0o777)
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o022)
    yield tmp_path
    os.umask(before)


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def child(script: str, **options) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False, **options)


# --- words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KB"),
        (1587, "1.5 KB"),
        (1024 * 1024, "1.0 MB"),
        (5 * 1024 * 1024 // 2, "2.5 MB"),
        (3 * 1024**3, "3072.0 MB"),
    ],
)
def test_a_size_is_bytes_below_1024_then_KB_and_MB_with_one_decimal(size_bytes, text):
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(errno.ENOENT, "x", "secret-name"), "it does not exist"),
        (PermissionError(errno.EPERM, "x"), "permission denied"),
        (OSError(errno.EIO, "x"), os.strerror(errno.EIO)),
        (OSError("words of a library"), "words of a library"),
        (OSError(), "OSError"),
        (UnsuitableFileError("it is a directory"), "it is a directory"),
    ],
    ids=lambda value: "" if isinstance(value, str) else repr(value),
)
def test_every_error_of_the_system_has_words_and_never_none(error, words):
    assert describe_os_error(error) == words


# --- reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [0, 1, 4096, 65535, 65536, 200_000])
def test_a_file_is_read_to_its_last_byte(memory, size_bytes):
    content = os.urandom(size_bytes)
    with open("f", "wb") as file:
        file.write(content)
    os.chmod("f", 0o640)
    view, status = read_secret_file("f", memory, limit_bytes=LIMIT)
    assert view.tobytes() == content
    assert stat.S_IMODE(status.st_mode) == 0o640


def test_a_link_to_a_file_is_followed(memory):
    with open("f", "wb") as file:
        file.write(b"x")
    os.symlink("f", "link")
    assert read_secret_file("link", memory, limit_bytes=LIMIT)[0].tobytes() == b"x"


def test_a_file_of_the_kernel_that_claims_to_be_empty_is_read_to_its_end(memory):
    with open("/proc/self/status", "rb") as file:
        first_line = file.readline()
    assert os.stat("/proc/self/status").st_size == 0
    view, _ = read_secret_file("/proc/self/status", memory, limit_bytes=LIMIT)
    assert view.tobytes().startswith(first_line)
    assert view.tobytes().count(b"\n") > 20


def test_a_file_that_grows_after_its_size_was_asked_is_read_whole(memory, monkeypatch):
    with open("f", "wb") as file:
        file.write(b"first ")
    really_open = files.open_regular

    def open_and_grow(path):
        opened = really_open(path)
        with open(path, "ab") as file:
            file.write(b"second" * 50_000)
        return opened

    monkeypatch.setattr(files, "open_regular", open_and_grow)
    view, status = read_secret_file("f", memory, limit_bytes=LIMIT)
    assert status.st_size == 6
    assert view.tobytes() == b"first " + b"second" * 50_000


def test_a_file_that_grows_past_the_limit_meanwhile_is_refused(memory, monkeypatch):
    with open("f", "wb") as file:
        file.write(b"1234")
    really_open = files.open_regular

    def open_and_grow(path):
        opened = really_open(path)
        with open(path, "ab") as file:
            file.write(b"5678")
        return opened

    monkeypatch.setattr(files, "open_regular", open_and_grow)
    with pytest.raises(UnsuitableFileError, match=r"^it is larger than 6 B$"):
        read_secret_file("f", memory, limit_bytes=6)


def test_the_limit_itself_is_allowed_and_one_byte_more_is_not(memory):
    with open("f", "wb") as file:
        file.write(b"x" * 2048)
    assert len(read_secret_file("f", memory, limit_bytes=2048)[0]) == 2048
    with pytest.raises(UnsuitableFileError, match=r"^it is larger than 2\.0 KB$"):
        read_secret_file("f", memory, limit_bytes=2047)


def test_the_buffer_that_was_outgrown_is_wiped_at_once(memory):
    reader, writer = os.pipe()
    os.write(writer, b"q" * 30_000)
    os.close(writer)
    read_secret_descriptor(reader, memory, limit_bytes=LIMIT)
    os.close(reader)
    allocated = b"".join(bytes(mapping) for mapping in memory._mappings)
    assert allocated.count(b"q") == 30_000


def test_a_long_pipe_costs_a_small_multiple_of_its_length(memory):
    size_bytes = 8 * 1024 * 1024
    reader, writer = os.pipe()

    def write():
        write_all(writer, [b"x" * size_bytes])
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    assert len(read_secret_descriptor(reader, memory, limit_bytes=2 * size_bytes)) == size_bytes
    thread.join()
    os.close(reader)
    assert sum(len(mapping) for mapping in memory._mappings) < 5 * size_bytes


def make_directory():
    os.mkdir("x")


def make_fifo():
    os.mkfifo("x")


def make_device_link():
    os.symlink("/dev/null", "x")


def make_link_to_itself():
    os.symlink("x", "x")


def make_link_to_nothing():
    os.symlink("nothing", "x")


def make_socket():
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("x")


REFUSED_AS_FILE = [
    (make_directory, "it is a directory"),
    (make_fifo, "it is a named pipe"),
    (make_device_link, "it is a device"),
    (make_link_to_itself, "its links lead in a circle"),
    (make_link_to_nothing, "it does not exist"),
    (make_socket, "it is a socket or a device, not a file"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED_AS_FILE)
def test_what_is_no_regular_file_is_refused_by_what_it_is_without_waiting(memory, make, words):
    make()
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError) as caught:
        read_secret_file("x", memory, limit_bytes=LIMIT)
    assert describe_os_error(caught.value) == words
    assert os.listdir("/proc/self/fd") == before


def test_an_unreadable_file_is_said_to_be_that(memory):
    with open("f", "wb") as file:
        file.write(b"x")
    os.chmod("f", 0o000)
    with unprivileged(), pytest.raises(PermissionError) as caught:
        open_regular("f")
    assert describe_os_error(caught.value) == "permission denied"


def test_a_kind_that_has_no_words_is_at_least_no_regular_file():
    assert files._kind(0) == "it is not a regular file"


def test_a_named_pipe_is_read_once_to_the_end_of_its_writer(memory):
    os.mkfifo("pipe")

    def write():
        with open("pipe", "wb", buffering=0) as pipe:
            pipe.write(b"first, ")
            pipe.write(b"x" * 100_000)

    thread = threading.Thread(target=write)
    thread.start()
    view = read_secret_pipe("pipe", memory, limit_bytes=LIMIT)
    thread.join()
    assert view.tobytes() == b"first, " + b"x" * 100_000


def test_where_a_pipe_is_allowed_a_file_is_too(memory):
    with open("f", "wb") as file:
        file.write(b"abc")
    assert read_secret_pipe("f", memory, limit_bytes=LIMIT).tobytes() == b"abc"


def test_a_pipe_without_an_end_stops_at_the_limit(memory):
    with pytest.raises(UnsuitableFileError, match=r"^it is larger than 97\.7 KB$"):
        read_secret_pipe("/dev/zero", memory, limit_bytes=100_000)


def test_a_directory_is_not_read_as_a_pipe(memory):
    with pytest.raises(UnsuitableFileError, match=r"^it is a directory$"):
        read_secret_pipe(".", memory, limit_bytes=LIMIT)


def test_a_descriptor_is_read_from_where_it_stands_and_stays_open(memory):
    with open("f", "wb+", buffering=0) as file:
        file.write(b"read already, not yet")
        file.seek(14)
        assert read_secret_descriptor(file.fileno(), memory, limit_bytes=LIMIT).tobytes() == b"not yet"
        assert os.fstat(file.fileno()).st_size == 21


def test_a_pipe_that_somebody_made_non_blocking_is_waited_for(memory):
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    may_write = threading.Event()

    def write():
        may_write.wait()
        os.write(writer, b"late")
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    may_write.set()
    assert read_secret_descriptor(reader, memory, limit_bytes=LIMIT).tobytes() == b"late"
    thread.join()
    os.close(reader)


def test_a_reader_slower_than_a_non_blocking_pipe_gets_everything():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    received = bytearray()

    def read():
        while piece := os.read(reader, 4096):
            received.extend(piece)

    thread = threading.Thread(target=read)
    thread.start()
    write_all(writer, [b"a" * 300_000, memoryview(b"b" * 300_000)])
    os.close(writer)
    thread.join()
    os.close(reader)
    assert bytes(received) == b"a" * 300_000 + b"b" * 300_000


def test_without_readv_as_on_windows_the_same_bytes_arrive(memory, monkeypatch):
    with open("f", "wb") as file:
        file.write(b"abc" * 1000)
    monkeypatch.delattr(os, "readv")
    assert read_secret_file("f", memory, limit_bytes=LIMIT)[0].tobytes() == b"abc" * 1000


def test_with_readv_no_bytes_object_ever_holds_what_was_read(memory, monkeypatch):
    with open("f", "wb") as file:
        file.write(b"abc")

    def refuse(*_):
        raise AssertionError("os.read returns bytes that nobody can wipe")

    monkeypatch.setattr(os, "read", refuse)
    assert read_secret_file("f", memory, limit_bytes=LIMIT)[0].tobytes() == b"abc"


# --- writing ------------------------------------------------------------------------------------------------------


def content_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def put(path: str, content: bytes, mode: int = 0o644) -> None:
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, mode)


def test_a_new_file_has_its_mode_whatever_the_umask():
    os.umask(0o077)
    write_atomically("f", [b"a", memoryview(b"b")], mode=0o644)
    assert content_of("f") == b"ab"
    assert mode_of("f") == 0o644
    assert os.listdir() == ["f"]


def test_without_a_mode_a_new_file_is_for_its_owner_alone():
    os.umask(0)
    write_atomically("f", [b"a"])
    assert mode_of("f") == 0o600


def test_the_final_mode_is_there_before_the_first_byte():
    seen = []

    def chunks():
        (temporary,) = os.listdir()
        seen.append((mode_of(temporary), os.lstat(temporary).st_size))
        yield b"secret"

    write_atomically("f", chunks(), mode=0o640)
    assert seen == [(0o640, 0)]


def test_a_file_that_is_replaced_keeps_its_mode():
    put("f", b"old", 0o640)
    write_atomically("f", [b"new"], mode=0o600)
    assert (content_of("f"), mode_of("f")) == (b"new", 0o640)


def test_a_read_only_file_is_replaced_and_stays_read_only():
    put("f", b"old", 0o400)
    write_atomically("f", [b"new"])
    assert (content_of("f"), mode_of("f")) == (b"new", 0o400)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
class TestOwners:
    def test_root_leaves_the_file_to_its_owner(self):
        put("f", b"old", 0o640)
        os.chown("f", 1234, 2345)
        write_atomically("f", [b"new"])
        status = os.stat("f")
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 2345, 0o640)

    def test_the_group_of_the_file_counts_and_not_the_one_that_the_folder_passes_on(self, folder):
        put("f", b"old", 0o640)
        os.chown(folder, -1, 2345)
        os.chmod(folder, 0o2777)
        write_atomically("f", [b"new"])
        assert os.stat("f").st_gid == os.getegid()

    def test_rights_of_a_group_that_cannot_be_kept_are_not_given_to_another_group(self):
        put("f", b"old", 0o664)
        with unprivileged():
            write_atomically("f", [b"new"])
            status = os.stat("f")
            assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
        assert (content_of("f"), mode_of("f")) == (b"new", 0o604)

    def test_without_roots_rights_the_group_at_least_is_kept(self):
        put("f", b"old")
        os.chown("f", 1234, NOBODY)
        os.chmod("f", 0o660)
        with unprivileged():
            write_atomically("f", [b"new"])
        status = os.stat("f")
        assert (status.st_uid, status.st_gid, mode_of("f")) == (NOBODY, NOBODY, 0o660)


def test_a_file_of_ones_own_group_is_kept_by_asking_for_the_group_alone(monkeypatch):
    put("f", b"old", 0o660)
    owner = os.stat("f")
    asked = []

    def refuse_users(descriptor, uid, gid):
        asked.append((uid, gid))
        if uid >= 0:
            raise OSError(errno.EINVAL, "this user namespace has no such user")

    monkeypatch.setattr(os, "fchown", refuse_users)
    foreign = os.stat_result((*owner[:4], owner.st_uid + 1, owner.st_gid + 1, *owner[6:]))
    with open("g", "wb") as file:
        assert files._keep_owner(file.fileno(), foreign)
    assert asked == [(owner.st_uid + 1, owner.st_gid + 1), (-1, owner.st_gid + 1)]


def test_a_name_as_long_as_a_name_can_be_is_no_trouble():
    write_atomically("n" * 255, [b"a"])
    assert os.listdir() == ["n" * 255]


def fails_with(message: str, *arguments, hint: str = "", **options) -> None:
    before = sorted(os.listdir())
    with pytest.raises(OutputError) as caught:
        write_atomically(*arguments, **options)
    assert caught.value.problem == message
    assert caught.value.hint == hint
    assert sorted(os.listdir()) == before


def test_a_symbolic_link_is_refused_and_what_it_points_to_untouched():
    put("target", b"old")
    os.symlink("target", "link")
    fails_with("Cannot write link: it is a symbolic link", "link", [b"new"], hint="name the file that it points to")
    assert content_of("target") == b"old"
    assert os.path.islink("link")


@pytest.mark.parametrize(("make", "words"), [(make_directory, "it is a directory"), (make_fifo, "it is a named pipe")])
def test_what_is_no_file_is_not_written_over(make, words):
    make()
    fails_with(f"Cannot write x: {words}", "x", [b"new"])


def test_a_missing_folder_is_named_as_what_is_missing():
    fails_with("Cannot write no/f: its folder does not exist", "no/f", [b"new"])


def test_a_file_in_the_place_of_a_folder_is_said_to_be_that():
    put("f", b"")
    fails_with("Cannot write f/g: a part of its path is not a directory", "f/g", [b"new"])


def test_a_folder_without_the_right_to_write_is_said_to_be_that():
    os.chmod(".", 0o555)
    with unprivileged():
        fails_with("Cannot write f: permission denied", "f", [b"new"])


def test_a_folder_that_may_not_be_listed_can_be_written_into():
    os.chmod(".", 0o733)
    with unprivileged():
        write_atomically("f", [b"new"])
    assert content_of("f") == b"new"


def test_a_file_system_that_cannot_sync_folders_is_written_to(monkeypatch):
    really_sync = os.fsync

    def sync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "cannot")
        really_sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    write_atomically("f", [b"new"])
    assert content_of("f") == b"new"


def test_the_file_is_synced_before_its_name_points_to_it(monkeypatch):
    really_sync = os.fsync
    synced = []

    def sync(descriptor):
        synced.append(("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file", os.path.exists("f")))
        really_sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    write_atomically("f", [b"new"])
    assert synced == [("file", False), ("folder", True)]


def test_windows_has_no_folders_to_sync(monkeypatch):
    monkeypatch.setattr(os, "name", "nt")
    files._sync_folder("nowhere")


def test_an_existing_file_is_not_replaced_unasked():
    put("f", b"old")
    fails_with("Cannot write f: it exists already", "f", [b"new"], replace=False)
    assert content_of("f") == b"old"


def test_a_file_that_appears_while_the_new_one_is_written_stays():
    def chunks():
        put("f", b"faster")
        yield b"new"

    with pytest.raises(OutputError, match=r"^Cannot write f: it exists already$"):
        write_atomically("f", chunks(), replace=False)
    assert os.listdir() == ["f"]
    assert content_of("f") == b"faster"


def test_without_replacing_a_new_file_appears_with_its_content_and_one_name():
    write_atomically("f", [b"new"], replace=False)
    assert os.listdir() == ["f"]
    assert (content_of("f"), os.stat("f").st_nlink) == (b"new", 1)


def test_whatever_stops_the_writing_leaves_the_old_file_and_nothing_beside_it():
    put("f", b"old")

    def chunks():
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically("f", chunks())
    assert os.listdir() == ["f"]
    assert content_of("f") == b"old"


def test_a_file_beyond_the_size_limit_leaves_the_old_one_and_nothing_beside_it():
    put("f", b"old")
    script = """
from sindri.errors import OutputError
from sindri.files import write_atomically
try:
    write_atomically("f", [b"x" * 100_000])
except OutputError as error:
    print(error)
"""
    done = child(script, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)))
    assert done.stdout.decode() == f"Cannot write f: {os.strerror(errno.EFBIG)}\n", done.stderr
    assert os.listdir() == ["f"]
    assert content_of("f") == b"old"


def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it():
    script = """
mount -t tmpfs -o size=64k none disk || exit 42
cd disk
printf old > f
"$0" -c 'from sindri.files import write_atomically
write_atomically("f", [b"x" * 100_000])' 2> ../error
ls -A
cat f
"""
    os.mkdir("disk")
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    done = subprocess.run([*namespace, "sh", "-c", script, sys.executable], capture_output=True, check=False)
    if done.returncode in {1, 42}:
        pytest.skip("this user may not mount a disk to fill")
    assert done.stdout == b"f\nold"
    assert content_of("error").endswith(b"OutputError: Cannot write f: no space left on the device\n")


def test_a_writer_killed_at_any_time_leaves_the_old_content_or_the_new_never_half():
    size_bytes = 200_000
    allowed = {bytes([letter]) * size_bytes for letter in b"ab"}
    put("f", b"a" * size_bytes)
    script = f"""
import os
from sindri.files import write_atomically
os.write(1, b"go")
while True:
    for letter in (b"a", b"b"):
        write_atomically("f", [letter * {size_bytes}])
"""
    seen = set()
    for round_number in range(15):
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.read(2) == b"go"
            for _ in range(round_number * 3):
                seen.add(content_of("f"))
            writer.send_signal(signal.SIGKILL)
        seen.add(content_of("f"))
    assert seen <= allowed


# --- appending, locks, private folders ----------------------------------------------------------------------------


def test_what_is_appended_comes_behind_what_was_there():
    append_to("f", b"a\n")
    append_to("f", b"b\n")
    assert (content_of("f"), mode_of("f")) == (b"a\nb\n", 0o600)


@pytest.mark.parametrize(
    ("before", "after"), [(b"", b"new\n"), (b"old\n", b"old\nnew\n"), (b"old", b"old\nnew\n"), (b"\r", b"\r\nnew\n")]
)
def test_what_is_appended_never_continues_somebody_elses_last_line(before, after):
    put("f", before, 0o640)
    append_to("f", b"new\n")
    assert (content_of("f"), mode_of("f")) == (after, 0o640)


@pytest.mark.parametrize(("path", "words"), [("no/f", "its folder does not exist"), (".", "it is a directory")])
def test_what_cannot_be_appended_to_is_said(path, words):
    with pytest.raises(OutputError, match=rf"^Cannot write {path}: {words}$"):
        append_to(path, b"x")


def test_a_full_device_is_said_when_appending():
    with pytest.raises(OutputError, match=r"^Cannot write /dev/full: no space left on the device$"):
        append_to("/dev/full", b"x")


def test_twenty_processes_that_change_one_file_lose_no_change():
    put("counter", b"0")
    script = """
from sindri.files import write_atomically
from sindri.locks import FolderLock
for _ in range(5):
    with FolderLock(""):
        with open("counter", "rb") as file:
            number = int(file.read())
        write_atomically("counter", [b"%d" % (number + 1)])
"""
    writers = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(20)]
    assert [writer.wait(60) for writer in writers] == [0] * 20
    assert content_of("counter") == b"100"
    assert os.listdir() == ["counter"]


def test_a_lock_is_free_again_after_its_context():
    with FolderLock("."):
        pass
    with FolderLock("."):
        assert os.listdir() == []


def test_a_folder_that_is_not_there_cannot_be_locked():
    with pytest.raises(OutputError, match=r"^Cannot write into no: it does not exist$"), FolderLock("no"):
        pass


def test_where_there_is_no_flock_nothing_is_locked(monkeypatch):
    monkeypatch.setattr(os, "name", "nt")
    with FolderLock("no such folder"):
        pass


def test_a_private_folder_is_for_its_owner_alone_and_gone_with_everything_in_it():
    with PrivateFolder() as private:
        assert mode_of(private.path) == 0o700
        path = private.write("key", memoryview(b"secret"), mode=0o400)
        assert (content_of(path), mode_of(path)) == (b"secret", 0o400)
        os.makedirs(os.path.join(private.path, "made", "by the program"))
        os.symlink(os.getcwd(), os.path.join(private.path, "link"))
    assert not os.path.lexists(private.path)
    assert os.path.isdir(".")


def test_a_private_folder_that_the_program_removed_itself_is_no_trouble():
    with PrivateFolder() as private:
        os.rmdir(private.path)


def test_a_private_folder_goes_when_an_error_passes_through():
    private = PrivateFolder()

    def use():
        with private:
            private.write("key", b"secret", mode=0o600)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert not os.path.lexists(private.path)


def test_a_private_folder_that_cannot_be_removed_is_named(monkeypatch):
    import shutil

    def refuse(_path):
        raise PermissionError(errno.EACCES, "x")

    private = PrivateFolder()
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", refuse)
        with pytest.raises(OutputError) as caught, private:
            pass
    os.rmdir(private.path)
    assert str(caught.value) == (
        f"Cannot remove {private.path}: permission denied\n  hint: remove it: it holds secrets"
    )


def test_two_files_of_one_name_in_a_private_folder_are_refused():
    with PrivateFolder() as private:
        path = private.write("key", b"first", mode=0o600)
        with pytest.raises(OutputError, match=r": it exists already$"):
            private.write("key", b"second", mode=0o600)
        assert content_of(path) == b"first"


def test_reading_waits_where_a_descriptor_has_nothing_yet(tmp_path, monkeypatch):
    """A pipe that somebody made non-blocking says "not now"; that is not its end."""
    answers = iter([BlockingIOError(), None])
    real = os.readv

    def readv(descriptor, buffers):
        answer = next(answers, None)
        if answer is not None:
            raise answer
        return real(descriptor, buffers)

    (tmp_path / "file").write_bytes(b"content")
    monkeypatch.setattr(os, "readv", readv)
    with SecretMemory() as memory:
        content, _ = read_secret_file(str(tmp_path / "file"), memory, limit_bytes=100)
        assert bytes(content) == b"content"


def test_writing_waits_where_a_descriptor_takes_nothing_yet(monkeypatch):
    """A pipe that somebody made non-blocking and is full says "not now"; nothing is lost by that."""
    answers = iter([BlockingIOError(), None])
    real = os.write

    def write(descriptor, data):
        answer = next(answers, None)
        if answer is not None:
            raise answer
        return real(descriptor, data)

    reading, writing = os.pipe()
    monkeypatch.setattr(os, "write", write)
    write_all(writing, [b"content"])
    assert os.read(reading, 100) == b"content"
    os.close(reading)
    os.close(writing)
