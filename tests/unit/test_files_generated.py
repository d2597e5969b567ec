"""Files that Sindri generates: made with their final mode, removed again, never over somebody else's."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from sindri import files
from sindri.errors import OutputError
from sindri.files import make_private_folder, remove_file, write_new_file
from tests.unprivileged import unprivileged


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


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
def test_half_a_file_is_removed_when_its_content_breaks_off(tmp_path, kind):
    """Also by a signal: half a secret is one too."""

    def chunks():
        yield b"half"
        raise kind

    with pytest.raises(kind):
        write_new_file(str(tmp_path / "a"), chunks(), mode=0o600)
    assert os.listdir(tmp_path) == []


def test_half_a_file_is_removed_when_the_disk_is_full(tmp_path, monkeypatch):
    def write(descriptor, chunks):
        os.write(descriptor, b"half")
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(files, "write_all", write)
    with pytest.raises(OutputError, match="no space left"):
        write_new_file(str(tmp_path / "a"), [b"whole"], mode=0o600)
    assert os.listdir(tmp_path) == []


def test_a_new_file_is_closed_to_others_while_it_is_written(tmp_path):
    modes = []

    def chunks():
        modes.append(stat.S_IMODE((tmp_path / "a").stat().st_mode))
        yield b"x"

    write_new_file(str(tmp_path / "a"), chunks(), mode=0o600)
    assert modes == [0o600]


def test_a_new_file_in_no_folder_is_refused_with_the_reason(tmp_path):
    with pytest.raises(OutputError, match="its folder does not exist"):
        write_new_file(str(tmp_path / "no" / "a"), [b"x"], mode=0o600)


def test_a_link_is_removed_itself_and_not_what_it_points_to(tmp_path):
    (tmp_path / "there").write_text("x")
    (tmp_path / "link").symlink_to("there")
    assert remove_file(str(tmp_path / "link"))
    assert os.listdir(tmp_path) == ["there"]


def test_what_may_not_be_removed_is_an_error_and_stays(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("x")
    tmp_path.chmod(0o555)
    monkeypatch.chdir(tmp_path)
    with unprivileged(), pytest.raises(OutputError, match="Cannot remove a: permission denied"):
        remove_file("a")
    assert (tmp_path / "a").exists()


def test_a_private_folder_is_closed_whatever_the_umask_is(tmp_path):
    before = os.umask(0)
    try:
        make_private_folder(str(tmp_path / "folder"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700


def test_a_private_folder_may_be_relative_and_a_link_to_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_private_folder("folder")
    (tmp_path / "link").symlink_to("folder")
    make_private_folder("link")
    assert sorted(os.listdir()) == ["folder", "link"]


def test_a_private_folder_where_a_file_lies_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="it exists already"):
        make_private_folder(str(tmp_path / "file"))
