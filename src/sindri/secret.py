"""`Secret`: the wipeable buffer that is the only carrier of plaintext.

Plaintext lies in anonymous memory mappings of our own, never in `str` or `bytes` objects, which the interpreter may
copy and never clears. The mappings are locked against swapping where the system's limit allows it, left out of core
dumps, and overwritten with zeros when the `SecretMemory` that owns them is closed.
"""

from __future__ import annotations

import _thread
import mmap
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import NoReturn, Self

_CHUNK_BYTES = 64 * 1024
# A larger request gets a mapping of its own, so that a chunk is never left half empty by it.
_LARGE_BYTES = _CHUNK_BYTES // 4
_MAP_LOCKED = 0x2000  # asm-generic/mman.h; not exported by the mmap module. Other architectures number it differently.
_MAP_LOCKED_MACHINES = ("x86_64", "aarch64", "riscv64")


def map_memory(size_bytes: int) -> mmap.mmap:
    """Return private zeroed memory, locked and kept out of core dumps where the system can do that.

    Linux locks with the mapping itself and falls back to unlocked memory when `RLIMIT_MEMLOCK` is used up.
    Elsewhere the memory is plain: it may be swapped and may stand in a core dump.
    """
    if sys.platform != "linux":
        return mmap.mmap(-1, size_bytes)
    memory = _map_locked(size_bytes)
    if memory is None:
        memory = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_DONTDUMP)
    return memory


def _map_locked(size_bytes: int) -> mmap.mmap | None:
    if sys.platform != "linux" or os.uname().machine not in _MAP_LOCKED_MACHINES:
        return None
    try:
        return mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_LOCKED)
    except OSError:  # EAGAIN: over the limit of locked memory, which plain memory does not count against
        return None


def _wipe(mapping: mmap.mmap) -> None:
    zeros = bytes(_CHUNK_BYTES)
    for start in range(0, len(mapping), _CHUNK_BYTES):
        end = min(start + _CHUNK_BYTES, len(mapping))
        mapping[start:end] = zeros[: end - start]


def can_lock_memory() -> bool:
    """Return whether a chunk of secrets can be kept from being swapped, here and now."""
    mapping = _map_locked(_CHUNK_BYTES)
    if mapping is None:
        return False
    mapping.close()
    return True


class SecretMemory:
    """Hands out wipeable memory and wipes all of it at once.

    Sources may allocate from several threads at the same time.
    """

    __slots__ = ("_free", "_lock", "_mappings", "closed")

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._mappings: list[mmap.mmap] = []
        # Writable although nothing fits in: an empty value that comes first is written to it all the same.
        self._free = memoryview(bytearray())
        self.closed = False

    def allocate(self, size_bytes: int) -> memoryview:
        """Return *size_bytes* writable bytes, all zero."""
        with self._lock:
            if self.closed:
                raise ValueError("the memory of these secrets was wiped")
            if size_bytes > _LARGE_BYTES:
                return self._map(size_bytes)
            if len(self._free) < size_bytes:
                self._free = self._map(_CHUNK_BYTES)
            view, self._free = self._free[:size_bytes], self._free[size_bytes:]
            return view

    def _map(self, size_bytes: int) -> memoryview:
        mapping = map_memory(size_bytes)
        self._mappings.append(mapping)
        return memoryview(mapping)

    def store(self, value: bytes | bytearray | memoryview) -> Secret:
        """Return a secret holding a copy of *value*. The caller wipes the original where it can."""
        view = self.allocate(len(value))
        # From memoryview to memoryview: any other pair makes a hidden temporary that nobody can wipe.
        view[:] = memoryview(value)
        return Secret(view, self)

    def close(self) -> None:
        """Overwrite everything that was handed out. Every secret in this memory is unusable afterwards."""
        with self._lock:  # a source's thread may be about to take a mapping that this loop would miss
            self.closed = True
            self._free = memoryview(b"")
            for mapping in self._mappings:
                _wipe(mapping)
                try:
                    mapping.close()
                except BufferError:
                    # Somebody still holds a view: it now shows zeros, and the mapping goes when the view does.
                    continue
            self._mappings.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class Secret:
    """One secret value. Only `reveal` and `view` give it away: not printing, formatting, copying or pickling."""

    __slots__ = ("_memory", "_view")

    def __init__(self, view: memoryview, memory: SecretMemory) -> None:
        self._view = view
        self._memory = memory

    @classmethod
    def from_bytes(cls, value: bytes | bytearray | memoryview) -> Secret:
        """Return a secret with memory of its own, for values that come from elsewhere than a source."""
        return SecretMemory().store(value)

    def reveal(self) -> bytes:
        """Return the value as `bytes`: a copy that cannot be wiped, so ask as late as possible.

        Raises:
            ValueError: the secret was wiped.
        """
        return self.view().tobytes()

    def view(self) -> memoryview:
        """Return the wipeable bytes themselves, without a copy. They are gone when the secret is closed.

        Raises:
            ValueError: the secret was wiped.
        """
        if self._memory.closed:
            raise ValueError("this secret was wiped: use it before its resolution is closed")
        return self._view

    @property
    def size_bytes(self) -> int:
        """The length of the value."""
        return len(self._view)

    def __repr__(self) -> str:
        return "<Secret: hidden>"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return repr(self)

    # Comparing values takes time that depends on them; `why` compares keyed hashes instead.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __copy__(self) -> NoReturn:
        raise TypeError("a Secret cannot be copied: the copy would outlive its wiping")

    def __deepcopy__(self, memo: object) -> NoReturn:
        self.__copy__()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")
