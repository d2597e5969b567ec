"""Files for the program that exist in memory only and vanish with it."""

from __future__ import annotations

import os
import sys

from sindri.model import Value

# Scripts claim the single digits (`exec 3>log`), and shells save descriptors from 10 up, taking the first free one.
_LOWEST_DESCRIPTOR = 64
_MFD_NOEXEC_SEAL = 0x08  # linux/memfd.h, since Linux 6.3; the os module does not name them
_MFD_EXEC = 0x10


class SecretFileError(OSError):
    """The kernel refused a file in memory: no descriptors or memory left, or an executable mode is forbidden here."""


class FileForChild(Value):
    """A secret that the program gets as a file: its path stands in the variable *name*, *view* is the content."""

    name: str
    view: memoryview
    mode: int


def has_secret_files() -> bool:
    """Say whether this system has files that live in memory and can be named by a path: Linux with /proc."""
    return sys.platform == "linux" and hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd")


def make_secret_file(view: memoryview, mode: int) -> int:
    """Return a descriptor of a sealed in-memory file with the bytes of *view* and the permissions *mode*.

    It is closed by exec until `os.set_inheritable` says otherwise. Nobody can change the content, not even this
    process; the file is gone when its last descriptor is. Linux only, see `has_secret_files`.

    Raises:
        SecretFileError: the kernel refused; nothing is left behind.
    """
    try:
        return _make_sealed(view, mode)
    except OSError as error:
        raise SecretFileError(error.errno, error.strerror) from None


def _make_sealed(view: memoryview, mode: int) -> int:
    if sys.platform != "linux":
        raise OSError("in-memory files exist on Linux only")
    import fcntl

    low = _create_memfd(is_executable=bool(mode & 0o111))
    try:
        rest = view.cast("B")
        while rest:
            rest = rest[os.write(low, rest) :]
        # The mode of a memfd is 0777 from the start, whatever the umask: ssh refuses such a key.
        os.fchmod(low, mode)
        os.lseek(low, 0, os.SEEK_SET)
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(low, fcntl.F_ADD_SEALS, seals)
        return fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _LOWEST_DESCRIPTOR)
    finally:
        os.close(low)


def _create_memfd(*, is_executable: bool) -> int:
    if sys.platform != "linux":
        raise OSError("in-memory files exist on Linux only")
    base = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    kind = _MFD_EXEC if is_executable else _MFD_NOEXEC_SEAL
    try:
        # With the sysctl vm.memfd_noexec a kernel may insist on one of the two.
        return os.memfd_create("sindri-secret", base | kind)
    except OSError as error:
        import errno

        if error.errno != errno.EINVAL:  # EINVAL: a kernel before 6.3, which knows neither
            raise
        return os.memfd_create("sindri-secret", base)
