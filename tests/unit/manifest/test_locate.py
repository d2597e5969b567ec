"""Finding the manifest, and reading what may be anything."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from sindri.errors import ManifestError
from sindri.manifest import find_manifest, load_manifest

TEXT = "secrets: [{name: A, source: env}]\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def refusal(path: Path | str | None) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    return caught.value


def test_the_manifest_of_the_current_folder_is_called_by_its_name(project):
    (project / "sindri.yaml").write_text(TEXT)
    manifest = load_manifest()
    assert (manifest.display, manifest.path, manifest.folder) == (
        "sindri.yaml",
        str(project / "sindri.yaml"),
        str(project),
    )


def test_the_manifest_of_a_parent_is_found_and_called_by_the_way_there(project, monkeypatch):
    (project / "sindri.yaml").write_text(TEXT)
    inner = project / "src/deep"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert load_manifest().display == os.path.join("..", "..", "sindri.yaml")


@pytest.mark.parametrize("git", ["folder", "file"])
def test_the_search_ends_with_the_folder_that_holds_git(project, git):
    (project.parent / "sindri.yaml").write_text(TEXT)
    if git == "folder":
        (project / ".git").mkdir()
    else:
        (project / ".git").write_text("gitdir: elsewhere\n")
    inner = project / "src"
    inner.mkdir()
    with pytest.raises(ManifestError) as caught:
        find_manifest(str(inner))
    assert caught.value.note == f"looked in {inner}\nlooked in {project}"
    assert "sindri init" in caught.value.hint


def test_the_folder_that_holds_git_is_itself_searched(project):
    (project / ".git").mkdir()
    (project / "sindri.yaml").write_text(TEXT)
    assert find_manifest(str(project)) == str(project / "sindri.yaml")


@pytest.mark.parametrize("linked", [False, True])
def test_the_search_ends_with_the_home_folder(project, monkeypatch, linked):
    (project.parent / "sindri.yaml").write_text(TEXT)
    home = project
    if linked:
        home = project.parent / "home"
        home.symlink_to(project)
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(ManifestError):
        find_manifest(str(project))


def test_the_search_ends_at_the_root(monkeypatch):
    if os.path.lexists("/sindri.yaml") or os.path.lexists("/.git"):
        pytest.skip("this machine has a project in its root folder")
    with pytest.raises(ManifestError) as caught:
        find_manifest("/")
    assert caught.value.note == "looked in /"


def test_a_current_folder_that_is_gone_is_said(project):
    project.rmdir()
    assert "the current folder does not exist any more" in refusal(None).problem


def test_a_path_is_called_as_it_was_given(project):
    (project / "other.yaml").write_text(TEXT)
    manifest = load_manifest("./other.yaml")
    assert (manifest.display, manifest.path) == ("./other.yaml", str(project / "other.yaml"))
    assert load_manifest(project / "other.yaml").display == str(project / "other.yaml")


def test_a_path_of_bytes_is_a_mistake_of_the_program():
    with pytest.raises(TypeError):
        load_manifest(b"sindri.yaml")  # type: ignore[arg-type]


def test_a_missing_file_is_not_found(project):
    error = refusal("nowhere.yaml")
    assert error.problem == "Manifest not found: nowhere.yaml"
    assert error.exit_code == 3


def test_a_folder_of_that_name_is_found_and_refused(project):
    (project / "sindri.yaml").mkdir()
    assert refusal(None).problem == "Cannot read sindri.yaml: it is a directory"


def test_a_pipe_is_refused_without_waiting_for_a_writer(project):
    os.mkfifo(project / "sindri.yaml")
    assert refusal(None).problem == "Cannot read sindri.yaml: it is a named pipe"


def test_a_device_is_refused():
    assert refusal("/dev/null").problem == "Cannot read /dev/null: it is a device"


def test_a_socket_is_refused(project):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sindri.yaml")
        assert refusal(None).problem == "Cannot read sindri.yaml: it is a socket or a device, not a file"


def test_links_in_a_circle_are_refused(project):
    (project / "sindri.yaml").symlink_to("other")
    (project / "other").symlink_to("sindri.yaml")
    assert refusal(None).problem == "Cannot read sindri.yaml: its links lead in a circle"


def test_a_link_to_nothing_is_found_and_refused(project):
    (project / "sindri.yaml").symlink_to("gone")
    assert refusal(None).problem == "Cannot read sindri.yaml: it is a link to a file that does not exist"


def test_a_link_to_a_manifest_is_read_where_the_link_lies(project):
    (project.parent / "shared.yaml").write_text(TEXT)
    (project / "sindri.yaml").symlink_to("../shared.yaml")
    assert load_manifest().folder == str(project)


def test_a_file_in_a_file_is_refused(project):
    (project / "plain").write_text("")
    assert (
        refusal("plain/sindri.yaml").problem == "Cannot read plain/sindri.yaml: a part of its path is not a directory"
    )


def test_a_path_that_is_too_long_is_refused():
    assert refusal("x" * 5000).problem.endswith(": its path is too long")


def test_a_path_with_a_nul_is_refused():
    assert refusal("a\0b").problem == "Cannot read the manifest: its path holds a NUL character"


def test_a_file_that_may_not_be_read_is_refused(project):
    path = project / "sindri.yaml"
    path.write_text(TEXT)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    assert refusal(None).problem == "Cannot read sindri.yaml: permission denied"


def test_a_file_that_may_not_be_read_is_refused_for_the_superuser_too(project, monkeypatch):
    """Root may read every file of mode 0; an error of the system is the same either way."""
    path = project / "sindri.yaml"
    path.write_text(TEXT)

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    assert refusal(None).problem == "Cannot read sindri.yaml: permission denied"


def test_a_disk_that_fails_is_said(project, monkeypatch):
    (project / "sindri.yaml").write_text(TEXT)

    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "read", broken)
    assert refusal(None).problem == "Cannot read sindri.yaml: Input/output error"


def test_a_gigabyte_is_refused_after_its_first_megabyte(project):
    path = project / "sindri.yaml"
    path.touch()
    os.truncate(path, 1 << 30)
    assert "it is longer than" in refusal(None).problem


def test_reading_leaves_the_file_as_it_was_and_no_descriptor_open(project):
    path = project / "sindri.yaml"
    path.write_text(TEXT)
    path.chmod(0o400)
    before = path.stat()
    free = os.dup(0)
    os.close(free)
    load_manifest()
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    again = os.dup(0)
    os.close(again)
    assert again == free


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="giving a file to another user needs root")
def test_a_strangers_manifest_in_a_parent_folder_is_used_only_when_it_is_named(project, monkeypatch):
    (project / "sindri.yaml").write_text("secrets: []\n")
    os.chown(project / "sindri.yaml", 12345, 12345)
    (project / "below").mkdir()
    assert load_manifest().secrets == ()  # the current folder's own
    monkeypatch.chdir(project / "below")
    assert "belongs to another user" in refusal(None).problem
    assert load_manifest(project / "sindri.yaml").secrets == ()
