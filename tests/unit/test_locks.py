"""One holder at a time, and a holder that was killed holds nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sindri.errors import OutputError
from sindri.locks import ExclusiveFile

_HOLD = """
import sys
from sindri.locks import ExclusiveFile
with ExclusiveFile(sys.argv[1]) as lock:
    print("held" if lock.holder is None else lock.holder, flush=True)
    sys.stdin.read()
"""


def test_the_second_learns_who_has_it_until_the_first_is_killed(tmp_path):
    path = str(tmp_path / "lock")
    with subprocess.Popen([sys.executable, "-c", _HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
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
