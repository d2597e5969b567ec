"""One holder at a time, and a holder that was killed holds nothing."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import contextmanager

import pytest

from sindri.errors import OutputError
from sindri.locks import ExclusiveFile

HOLD = """
import sys
from sindri.locks import ExclusiveFile
with ExclusiveFile(sys.argv[1]) as lock:
    print("held" if lock.holder is None else lock.holder, flush=True)
    sys.stdin.read()
"""


@contextmanager
def holding(path):
    """A process that holds the lock until the context ends."""
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == b"held\n"
            yield child
        finally:
            child.kill()


def test_the_second_learns_who_has_it_until_the_first_is_killed(tmp_path):
    path = str(tmp_path / "lock")
    with holding(path) as first:
        with ExclusiveFile(path) as lock:
            assert lock.holder == str(first.pid)
        first.kill()
        first.wait()
        with ExclusiveFile(path) as lock:
            assert lock.holder is None


def test_a_lock_is_not_made_through_a_link(tmp_path):
    (tmp_path / "lock").symlink_to("elsewhere")
    with pytest.raises(OutputError, match="Cannot lock"), ExclusiveFile(str(tmp_path / "lock")):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_the_second_leaves_the_holder_s_pid_as_it_is(tmp_path):
    """A third learns the same, so the second must neither write nor free anything."""
    path = str(tmp_path / "lock")
    with holding(path) as first:
        for _ in range(2):
            with ExclusiveFile(path) as lock:
                assert lock.holder == str(first.pid)
        assert (tmp_path / "lock").read_text() == f"{first.pid}\n"


def test_a_lock_is_free_again_when_its_context_ends_also_by_an_exception(tmp_path):
    path = str(tmp_path / "lock")
    with pytest.raises(KeyboardInterrupt), ExclusiveFile(path):
        raise KeyboardInterrupt
    with holding(path):
        pass


def test_two_locks_of_one_process_exclude_each_other_too(tmp_path):
    path = str(tmp_path / "lock")
    with ExclusiveFile(path) as first, ExclusiveFile(path) as second:
        assert (first.holder, second.holder) == (None, str(os.getpid()))


def test_a_longer_pid_of_an_earlier_holder_leaves_no_digits_behind(tmp_path):
    (tmp_path / "lock").write_text("123456789012345\n")
    with ExclusiveFile(str(tmp_path / "lock")):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_holder_that_has_not_written_its_pid_yet_is_unknown(tmp_path):
    with ExclusiveFile(str(tmp_path / "lock")):
        os.truncate(tmp_path / "lock", 0)
        with ExclusiveFile(str(tmp_path / "lock")) as second:
            assert second.holder == "unknown"


def test_the_file_is_its_user_s_alone(tmp_path):
    before = os.umask(0)
    try:
        with ExclusiveFile(str(tmp_path / "lock")):
            assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_lock_in_no_folder_and_one_that_is_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "nowhere" / "lock", tmp_path):
        with pytest.raises(OutputError, match=f"Cannot lock {path}: "), ExclusiveFile(str(path)):
            pass


def test_a_pid_that_cannot_be_written_gives_the_lock_back(tmp_path):
    """A limit on the size of files stands for a full disk; the process goes on, and so must another's deploy."""
    script = (
        "import resource, signal, sys\nfrom sindri.errors import OutputError\n"
        "from sindri.locks import ExclusiveFile\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))\n"
        "lock = ExclusiveFile(sys.argv[1])\n"
        "try:\n    lock.__enter__()\nexcept OutputError as error:\n    message = str(error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))\n"
        "with ExclusiveFile(sys.argv[1]) as second:\n    print(message)\n    print(second.holder)\n"
    )
    path = str(tmp_path / "lock")
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, timeout=60, check=True)
    message, holder = done.stdout.decode().splitlines()
    assert message.startswith(f"Cannot lock {path}: ")
    assert holder == "None"
