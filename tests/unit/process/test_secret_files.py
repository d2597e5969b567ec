"""Files that live in memory."""

from __future__ import annotations

import errno
import os
import resource
import stat
import sys

import pytest

from sindri.process import has_secret_files, make_secret_file

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="in-memory files exist on Linux only")


@pytest.fixture
def made():
    descriptors: list[int] = []

    def make(content: bytes, mode: int = 0o600) -> int:
        descriptors.append(make_secret_file(memoryview(content), mode))
        return descriptors[-1]

    yield make
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)), b"\0" * 5000, os.urandom(3_000_000)])
def test_the_content_is_exact_and_read_from_its_start(made, content):
    descriptor = made(content)
    with open(f"/proc/self/fd/{descriptor}", "rb") as file:
        assert file.read() == content
    assert os.read(descriptor, len(content) + 1) == content


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o644, 0o755, 0o700])
def test_the_mode_is_the_declared_one_whatever_the_umask(made, mode):
    before = os.umask(0o077)
    try:
        descriptor = made(b"x", mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(f"/proc/self/fd/{descriptor}").st_mode) == mode


def test_nobody_can_change_it(made):
    descriptor = made(b"content")
    for change in (lambda: os.write(descriptor, b"y"), lambda: os.truncate(f"/proc/self/fd/{descriptor}", 0)):
        with pytest.raises(OSError) as caught:
            change()
        assert caught.value.errno == errno.EPERM


def test_it_is_closed_by_exec_and_leaves_the_digits_to_scripts(made):
    descriptor = made(b"x")
    assert not os.get_inheritable(descriptor)
    assert descriptor >= 64


def test_nothing_but_the_result_stays_open(made):
    before = set(os.listdir("/proc/self/fd"))
    descriptor = made(b"x")
    assert set(os.listdir("/proc/self/fd")) - before == {str(descriptor)}


def test_the_rooms_answer_is_yes_on_linux():
    assert has_secret_files()


def test_a_kernel_that_does_not_know_the_newer_flags_makes_the_file_all_the_same(made, monkeypatch):
    monkeypatch.setattr("sindri.process.secret_files._MFD_NOEXEC_SEAL", 0x4000_0000)  # EINVAL, as before Linux 6.3
    descriptor = made(b"content", 0o600)
    assert os.read(descriptor, 100) == b"content"


def test_what_else_the_kernel_refuses_is_an_error(made):
    before = set(os.listdir("/proc/self/fd"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            made(b"x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert set(os.listdir("/proc/self/fd")) == before
