"""A scanner that looks for copies of known values in the memory of another process.

The scanner is the parent: it makes *canaries*, hands them to a child through a file or the environment, and searches
the child's writable memory for them. The child knows a canary by its prefix only, so that nothing but the value that
travelled can be found. Linux only: it reads `/proc/PID/maps` and `/proc/PID/mem` (proc(5)).
"""

from __future__ import annotations

import os
import secrets
import sys

from sindri.model import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ANY_CHILD = "this process may read the memory of any child (root, or CAP_SYS_PTRACE)"
DUMPABLE_CHILD = "this process is not root: it can only scan a child that was told to stay dumpable"
UNSUPPORTED = "scanning memory needs Linux's /proc/PID/mem"

_CAP_SYS_PTRACE = 19  # linux/capability.h
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 characters that no grammar of ours quotes or escapes
_RANDOM_CHARACTERS = 16
_MARK_CHARACTERS = 12
_SHORTEST_ANCHOR = 4
_WINDOW_BYTES = 8 * 1024 * 1024
_AROUND_BYTES = 64

_WIDTHS = {"bytes": 1, "ucs2": 2, "ucs4": 4}


class ScanError(Exception):
    """The memory of a process could not be read. A scan that saw only a part never passes for a clean one."""


class Hit(Value):
    """One copy that was found.

    *needle* is the position in the list that was searched for. *variant* is "bytes" (one byte a character: `bytes`,
    ASCII `str`, buffers), "ucs2" or "ucs4" (what CPython stores of a `str` with wider characters in it).
    *is_whole* is false for a copy of which only one half is left; an allocator writes over the start of freed memory.
    *around* shows the bytes before and after, which tells what the copy is part of.
    """

    needle: int
    mapping: str
    address: int
    variant: str = "bytes"
    is_whole: bool = True
    around: bytes = b""


def scan_requirement() -> str:
    """Return which children can be scanned here: `ANY_CHILD`, `DUMPABLE_CHILD` or `UNSUPPORTED`, each a sentence."""
    if sys.platform != "linux":
        return UNSUPPORTED
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return ANY_CHILD if int(line.split()[1], 16) >> _CAP_SYS_PTRACE & 1 else DUMPABLE_CHILD
    return DUMPABLE_CHILD


def make_canaries(count: int, prefix: str = "canary-") -> list[bytes]:
    """Return *count* values that occur nowhere else: *prefix*, 80 random bits, a mark, 80 random bits.

    The mark is random too and the same for all values of one call: it is what the scan looks for first, and stands in
    the middle so that a copy is still recognised when its first or last half was overwritten.
    """
    mark = _random_text(_MARK_CHARACTERS)
    return [
        f"{prefix}{_random_text(_RANDOM_CHARACTERS)}{mark}{_random_text(_RANDOM_CHARACTERS)}".encode()
        for _ in range(count)
    ]


def _random_text(characters: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(characters))


def scan(pid: int, needles: Sequence[bytes], *, variants: Iterable[str] = ("bytes", "ucs2", "ucs4")) -> list[Hit]:
    """Return every copy of *needles* in the writable memory of process *pid*, by address.

    The process should be waiting (see `PausedChild`): what it moves during the scan may be missed. 50 MB are searched
    in a fraction of a second for any number of needles that share a mark; needles with nothing in common are searched
    one by one.

    Raises:
        ScanError: the memory cannot be read; the message says what it would take.
    """
    if not needles or not all(needles):
        raise ValueError("a scan needs at least one needle, and none may be empty")
    patterns = [pattern for variant in variants for pattern in _patterns(needles, variant)]
    overlap = max(pattern.reach for pattern in patterns)
    hits: list[Hit] = []
    for mapping, address, window in _windows(pid, overlap):
        for pattern in patterns:
            hits += pattern.find(window, mapping, address)
    areas = _argument_areas(pid)
    hits.sort(key=lambda hit: hit.is_whole)  # where windows overlap, what one sees cut in half another sees whole
    unique = {(hit.address, hit.variant, hit.needle): _placed(hit, areas) for hit in hits}
    return [unique[key] for key in sorted(unique)]


def tally(hits: Iterable[Hit]) -> dict[str, int]:
    """Return how many copies lie in each kind of memory: `[heap]`, `[stack]`, `[environ]`, `anonymous`, a file."""
    counts: dict[str, int] = {}
    for hit in hits:
        counts[hit.mapping] = counts.get(hit.mapping, 0) + 1
    return counts


def describe(hits: Sequence[Hit], *, shown: int = 5) -> str:
    """Return a report for a person: the totals, then the surroundings of the first *shown* copies."""
    needles = {hit.needle for hit in hits}
    places = ", ".join(f"{mapping} {count}" for mapping, count in sorted(tally(hits).items()))
    lines = [f"{len(hits)} copies of {len(needles)} values ({places or 'nowhere'})"]
    lines += [
        f"  value {hit.needle} at {hit.address:#x} in {hit.mapping}, {hit.variant}"
        f"{'' if hit.is_whole else ', a part'}: {hit.around!r}"
        for hit in hits[:shown]
    ]
    return "\n".join(lines)


# --- what is searched for ---------------------------------------------------------------------------------------


class _Pattern:
    """The needles in one encoding, found by the *anchor* that all of them hold at *offset*."""

    def __init__(self, needles: dict[bytes, int], variant: str, anchor: bytes, offset: int) -> None:
        self.needles = needles
        self.variant = variant
        self.anchor = anchor
        self.offset = offset
        width = _WIDTHS[variant]
        # What stands next to the anchor identifies a needle even when its other half is gone.
        half = _RANDOM_CHARACTERS * width
        end = offset + len(anchor)
        self.reach = max(len(needle) for needle in needles) + half
        self.half = half
        self.before = _only_distinct({needle[max(0, offset - half) : offset]: n for needle, n in needles.items()}, half)
        self.after = _only_distinct({needle[end : end + half]: n for needle, n in needles.items()}, half)
        self.lengths = sorted({len(needle) for needle in needles}, reverse=True)

    def find(self, window: bytearray, mapping: str, address: int) -> list[Hit]:
        """Return the hits in *window*, which lies at *address*."""
        hits: list[Hit] = []
        at = window.find(self.anchor)
        while at >= 0:
            hit = self._match(window, at)
            if hit is not None:
                needle, is_whole = hit
                start = max(0, at - self.offset)
                around = bytes(window[max(0, start - _AROUND_BYTES) : at + self.reach + _AROUND_BYTES])
                hits.append(
                    Hit(
                        needle=needle,
                        mapping=mapping,
                        address=address + at - self.offset,
                        variant=self.variant,
                        is_whole=is_whole,
                        around=around,
                    )
                )
            at = window.find(self.anchor, at + 1)
        return hits

    def _match(self, window: bytearray, at: int) -> tuple[int, bool] | None:
        start = at - self.offset
        if start >= 0:
            for length in self.lengths:
                needle = self.needles.get(bytes(window[start : start + length]))
                if needle is not None:
                    return needle, True
        end = at + len(self.anchor)
        part = self.before.get(bytes(window[max(0, at - self.half) : at]))
        if part is None:
            part = self.after.get(bytes(window[end : end + self.half]))
        return None if part is None else (part, False)


def _only_distinct(parts: dict[bytes, int], size_bytes: int) -> dict[bytes, int]:
    # Shorter parts would be found by chance.
    return {part: needle for part, needle in parts.items() if len(part) == size_bytes}


def _patterns(needles: Sequence[bytes], variant: str) -> list[_Pattern]:
    if variant not in _WIDTHS:
        raise ValueError(f"no such variant: {variant} (there are {', '.join(_WIDTHS)})")
    width = _WIDTHS[variant]
    wide = {_widened(needle, width): index for index, needle in enumerate(needles)}
    anchor, offset = _anchor(list(needles))
    if len(anchor) >= _SHORTEST_ANCHOR:
        return [_Pattern(wide, variant, _widened(anchor, width), offset * width)]
    return [_Pattern({needle: index}, variant, needle, 0) for needle, index in wide.items()]


def _widened(text: bytes, width: int) -> bytes:
    if width == 1:
        return text
    codec = {2: "utf-16", 4: "utf-32"}[width] + ("-le" if sys.byteorder == "little" else "-be")
    return text.decode("latin-1").encode(codec)


def _anchor(needles: list[bytes]) -> tuple[bytes, int]:
    """Return the last long stretch that stands at the same place in all needles, and that place.

    The last, because the first is the prefix, which an allocator overwrites first and which the child may know.
    """
    first = needles[0]
    best = (b"", 0)
    start = 0
    for position in range(min(map(len, needles)) + 1):
        is_common = position < min(map(len, needles)) and all(needle[position] == first[position] for needle in needles)
        if is_common:
            continue
        if position - start >= min(_MARK_CHARACTERS, max(len(best[0]), 1)):
            best = (first[start:position], start)
        start = position + 1
    text, offset = best
    if len(text) == len(first) > _MARK_CHARACTERS:  # a single needle: search for its middle
        offset = (len(text) - _MARK_CHARACTERS) // 2
        text = text[offset : offset + _MARK_CHARACTERS]
    return text, offset


# --- where it is searched ---------------------------------------------------------------------------------------


def _windows(pid: int, overlap: int) -> Iterator[tuple[str, int, bytearray]]:
    """Yield the writable memory in windows that overlap, so that a needle across two is whole in one of them."""
    mappings = _writable_mappings(pid)
    try:
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(pid, error) from error
    try:
        for start, end, name in mappings:
            for begin in range(start, end, _WINDOW_BYTES):
                low = max(start, begin - overlap - _AROUND_BYTES)
                high = min(end, begin + _WINDOW_BYTES + overlap + _AROUND_BYTES)
                yield name, low, _read(memory, low, high, name)
    finally:
        os.close(memory)


def _writable_mappings(pid: int) -> list[tuple[int, int, str]]:
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as maps:
            lines = maps.read().splitlines()
    except OSError as error:
        raise _refused(pid, error) from error
    if not lines:
        raise ScanError(f"process {pid} has no memory any more: it has ended")
    mappings = []
    for line in lines:
        span, permissions, _offset, _device, _inode, *name = line.split(maxsplit=5)
        if permissions[1] == "w":
            start, end = (int(address, 16) for address in span.split("-"))
            mappings.append((start, end, name[0] if name else "anonymous"))
    return mappings


def _read(memory: int, low: int, high: int, name: str) -> bytearray:
    window = bytearray(high - low)
    view = memoryview(window)
    done = 0
    while done < len(window):
        try:
            count = os.preadv(memory, [view[done:]], low + done)
        except OSError as error:
            raise ScanError(f"memory at {low + done:#x} ({name}) cannot be read: {error.strerror}") from error
        if count == 0:
            raise ScanError(f"memory at {low + done:#x} ({name}) cannot be read: the process has ended")
        done += count
    view.release()
    return window


def _refused(pid: int, error: OSError) -> ScanError:
    if isinstance(error, PermissionError):
        return ScanError(
            f"the memory of process {pid} cannot be read: {scan_requirement()}. "
            "Run as root, or start it as PausedChild(..., dumpable=True)"
        )
    if isinstance(error, (FileNotFoundError, ProcessLookupError)) and sys.platform == "linux":
        return ScanError(f"there is no process {pid}")
    return ScanError(UNSUPPORTED if sys.platform != "linux" else f"process {pid}: {error}")


def _argument_areas(pid: int) -> dict[str, tuple[int, int]]:
    """Return where the kernel put arguments and environment on the stack (proc(5), stat fields 48 to 51)."""
    with open(f"/proc/{pid}/stat", "rb") as stat:
        fields = stat.read().rpartition(b")")[2].split()  # begins with field 3; the name before it may hold anything
    argv_start, argv_end, environ_start, environ_end = (int(field) for field in fields[45:49])
    return {"[argv]": (argv_start, argv_end), "[environ]": (environ_start, environ_end)}


def _placed(hit: Hit, areas: dict[str, tuple[int, int]]) -> Hit:
    for name, (start, end) in areas.items():
        if start <= hit.address < end:
            return hit.replace(mapping=name)
    return hit
