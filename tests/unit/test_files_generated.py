"""Files that Sindri generates: made with their final mode, removed again, never over somebody else's."""

from __future__ import annotations

import os
import stat

import pytest

from sindri.errors import OutputError
from sindri.files import make_private_folder, remove_file, write_new_file


def test_a_new_file_has_its_mode_whatever_the_umask_is(tmp_path):
    before = os.umask(0)
    try:
        write_new_file(str(tmp_path / "a"), [b"one", memoryview(b"two")], mode=0o640)
    finally:
        os.umask(before)
    assert (tmp_path / "a").read_bytes() == b"onetwo"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_file_or_link_that_is_there_is_not_written_through(tmp_path):
    (tmp_path / "a").write_text("theirs")
    (tmp_path / "link").symlink_to("elsewhere")
    for name in ("a", "link"):
        with pytest.raises(OutputError, match="it exists already"):
            write_new_file(str(tmp_path / name), [b"x"], mode=0o600)
    assert (tmp_path / "a").read_text() == "theirs"
    assert not (tmp_path / "elsewhere").exists()


def test_removing_says_whether_there_was_something(tmp_path):
    (tmp_path / "a").write_text("x")
    assert remove_file(str(tmp_path / "a"))
    assert not remove_file(str(tmp_path / "a"))
    with pytest.raises(OutputError, match=f"Cannot remove {tmp_path}"):
        remove_file(str(tmp_path))


def test_a_private_folder_is_made_with_its_parents_and_kept(tmp_path):
    folder = tmp_path / "a" / "b"
    make_private_folder(str(folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    make_private_folder(str(folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="Cannot write"):
        make_private_folder(str(tmp_path / "file" / "below"))
