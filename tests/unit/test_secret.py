"""The wipeable buffer: it gives nothing away, and is empty when it is closed."""

from __future__ import annotations

import copy
import json
import mmap
import pickle
import sys
import threading

import pytest

from sindri import secret as secret_module
from sindri.secret import Secret, SecretMemory, can_lock_memory, map_memory
from tests.unprivileged import run_python

CHUNK = 64 * 1024
BORDERS = [0, 1, CHUNK // 4 - 1, CHUNK // 4, CHUNK // 4 + 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5]


def flags_of(view: memoryview) -> set[str]:
    """Return the kernel's flags of the mapping that a view lies in (proc(5), VmFlags)."""
    import ctypes

    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    flags: list[str] = []
    inside = False
    with open("/proc/self/smaps", encoding="utf-8") as smaps:
        for line in smaps:
            first = line.split(" ", 1)[0]
            if "-" in first and not first.endswith(":"):
                start, _, end = first.partition("-")
                inside = int(start, 16) <= address < int(end, 16)
            elif inside and line.startswith("VmFlags:"):
                flags = line.split()[1:]
    return set(flags)


# --- memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", BORDERS)
def test_memory_of_every_size_is_zeroed_writable_and_as_long_as_asked(size_bytes):
    with SecretMemory() as memory:
        for view in (memory.allocate(size_bytes), memory.allocate(size_bytes)):
            assert len(view) == size_bytes
            assert view.tobytes() == bytes(size_bytes)
            view[:] = memoryview(b"x" * size_bytes)


def test_what_is_handed_out_never_overlaps():
    with SecretMemory() as memory:
        views = [(size, memory.allocate(size)) for size in (*BORDERS, *range(0, 5000, 37))]
        for number, (_, view) in enumerate(views):
            view[:] = memoryview(bytes([number % 256]) * len(view))
        for number, (size, view) in enumerate(views):
            assert view.tobytes() == bytes([number % 256]) * size


def test_small_values_share_a_mapping_and_a_large_one_has_its_own():
    with SecretMemory() as memory:
        for _ in range(100):
            memory.allocate(100)
        assert [len(mapping) for mapping in memory._mappings] == [CHUNK]
        memory.allocate(CHUNK // 4 + 1)
        memory.allocate(100)
        assert [len(mapping) for mapping in memory._mappings] == [CHUNK, CHUNK // 4 + 1]


def test_a_chunk_is_used_up_to_its_last_byte():
    with SecretMemory() as memory:
        for _ in range(4):
            memory.allocate(CHUNK // 4)
        assert len(memory._mappings) == 1
        memory.allocate(1)
        assert len(memory._mappings) == 2


@pytest.mark.parametrize("size_bytes", [size for size in BORDERS if size])
def test_closing_overwrites_every_byte_that_was_handed_out(size_bytes):
    memory = SecretMemory()
    views = [memory.allocate(size_bytes), memory.allocate(100)]
    for view in views:
        view[:] = memoryview(b"s" * len(view))
    memory.close()
    assert [view.tobytes() for view in views] == [bytes(size_bytes), bytes(100)]


def test_a_mapping_that_nobody_looks_at_is_given_back_when_it_is_wiped():
    memory = SecretMemory()
    memory.allocate(CHUNK)
    (mapping,) = memory._mappings
    memory.close()
    assert mapping.closed


def test_closing_twice_is_no_error():
    memory = SecretMemory()
    memory.store(b"x")
    memory.close()
    memory.close()
    assert memory.closed


def test_closed_memory_hands_out_nothing():
    with SecretMemory() as memory:
        pass
    for size_bytes in (0, 1, CHUNK):
        with pytest.raises(ValueError, match="wiped"):
            memory.allocate(size_bytes)
    with pytest.raises(ValueError, match="wiped"):
        memory.store(b"late")


def test_memory_is_wiped_when_an_error_leaves_the_context():
    views = []

    def use():
        with SecretMemory() as memory:
            views.append(memory.store(b"secret").view())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert views[0].tobytes() == bytes(6)


def test_threads_that_allocate_at_the_same_time_get_memory_of_their_own():
    threads_count, each = 8, 400
    start = threading.Barrier(threads_count)
    kept: list[tuple[int, Secret]] = []
    with SecretMemory() as memory:

        def allocate(number: int) -> None:
            start.wait()
            kept.extend((number, memory.store(bytes([number]) * (size % 300))) for size in range(each))

        threads = [threading.Thread(target=allocate, args=(number,)) for number in range(threads_count)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        assert len(kept) == threads_count * each
        assert all(secret.reveal() == bytes([number]) * secret.size_bytes for number, secret in kept)


def test_nothing_is_handed_out_behind_the_back_of_a_wipe_in_another_thread():
    def fill(memory: SecretMemory, started: threading.Event) -> None:
        try:
            while True:
                memory.allocate(CHUNK // 2)
                started.set()
        except ValueError:
            return

    for _ in range(20):
        memory, started = SecretMemory(), threading.Event()
        thread = threading.Thread(target=fill, args=(memory, started))
        thread.start()
        started.wait()
        memory.close()
        thread.join()
        assert memory._mappings == []


# --- what the system does for it ----------------------------------------------------------------------------------

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc and the flags are Linux's")


@on_linux
@pytest.mark.parametrize("size_bytes", [100, CHUNK, 5 * CHUNK])
def test_the_kernel_keeps_every_chunk_out_of_core_dumps(size_bytes):
    with SecretMemory() as memory:
        assert "dd" in flags_of(memory.allocate(size_bytes))


@on_linux
def test_the_kernel_keeps_every_chunk_out_of_the_swap_where_the_limit_allows_it():
    if not can_lock_memory():
        pytest.skip("this user may lock no memory")
    with SecretMemory() as memory:
        assert "lo" in flags_of(memory.allocate(100))


@on_linux
def test_with_no_memory_to_lock_left_secrets_lie_in_plain_memory_out_of_core_dumps():
    script = """
import resource
from sindri.secret import SecretMemory, can_lock_memory
from tests.unit.test_secret import flags_of
from tests.unprivileged import become_nobody
import ctypes
resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
become_nobody()  # root may lock whatever the limit says
with SecretMemory() as memory:
    secret = memory.store(b"value")
    flags = flags_of(secret.view())
    print(can_lock_memory(), "lo" in flags, "dd" in flags, secret.reveal())
"""
    done = run_python(script)
    assert done.stdout == b"False False True b'value'\n", done.stderr


def test_more_than_the_system_has_is_not_locked():
    assert secret_module._map_locked(1 << 62) is None


@on_linux
def test_a_machine_whose_flags_are_numbered_differently_gets_plain_memory(monkeypatch):
    monkeypatch.setattr(secret_module, "_MAP_LOCKED_MACHINES", ("another",))
    assert not can_lock_memory()
    with SecretMemory() as memory:
        assert memory.store(b"value").reveal() == b"value"


def test_elsewhere_than_on_linux_memory_is_plain_and_works(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not can_lock_memory()
    mapping = map_memory(10)
    assert isinstance(mapping, mmap.mmap)
    assert bytes(mapping) == bytes(10)
    mapping.close()


# --- the secret ---------------------------------------------------------------------------------------------------


@pytest.fixture
def secret(canary):
    with SecretMemory() as memory:
        yield memory.store(canary.encode())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_value_is_stored_as_a_copy_and_comes_back_byte_for_byte(kind):
    original = bytearray(range(256)) * 3
    with SecretMemory() as memory:
        stored = memory.store(kind(original))
        before = bytes(original)
        original[:] = bytes(len(original))
        assert stored.reveal() == before
        assert stored.view() == before
        assert stored.size_bytes == 768


def test_an_empty_value_is_a_value():
    with SecretMemory() as memory:
        assert memory.store(b"").reveal() == b""
        assert memory.store(b"").size_bytes == 0


def test_a_view_is_the_memory_itself_and_a_revealed_value_is_a_copy(secret):
    revealed = secret.reveal()
    secret.view()[0] = 0
    assert secret.reveal()[0] == 0
    assert revealed[0] != 0


def test_a_value_from_elsewhere_has_memory_of_its_own():
    first, second = Secret.from_bytes(b"first"), Secret.from_bytes(bytearray(b"second"))
    first._memory.close()
    assert second.reveal() == b"second"
    with pytest.raises(ValueError, match="wiped"):
        first.reveal()


def test_a_wiped_secret_says_so_and_keeps_only_its_length():
    with SecretMemory() as memory:
        stored = memory.store(b"value")
        held = stored.view()
    for look in (stored.reveal, stored.view):
        with pytest.raises(ValueError, match="this secret was wiped"):
            look()
    assert stored.size_bytes == 5
    assert held.tobytes() == bytes(5)


def test_no_way_of_printing_shows_the_value(secret, canary):
    nested = {"key": [secret, (secret,)]}
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{secret:x>300}",
        format(secret, "s"),
        "%s %r" % (secret, secret),  # noqa: UP031 -- one of the ways
        f"{nested}",
        ascii(secret),
    ]
    assert not [text for text in shown if canary in text]
    assert repr(secret) == str(secret) == format(secret, "any spec") == "<Secret: hidden>"


@pytest.mark.parametrize(
    "give_away",
    [
        copy.copy,
        copy.deepcopy,
        *(lambda secret, protocol=protocol: pickle.dumps(secret, protocol) for protocol in range(6)),
        lambda secret: secret.__reduce__(),
        json.dumps,
        bytes,
        len,
        iter,
        memoryview,
        vars,
        lambda secret: secret[0],
        lambda secret: secret + b"",
        lambda secret: b"" in secret,
        lambda secret: secret < secret,  # noqa: PLR0124
    ],
)
def test_no_protocol_of_the_language_gives_the_value_away(secret, canary, give_away):
    with pytest.raises(TypeError) as caught:
        give_away(secret)
    assert canary not in str(caught.value)


def test_a_container_of_secrets_cannot_be_copied_deeply(secret):
    with pytest.raises(TypeError, match="the copy would outlive its wiping"):
        copy.deepcopy({"name": [secret]})


def test_secrets_are_compared_by_identity_because_comparing_values_takes_time_that_depends_on_them():
    with SecretMemory() as memory:
        one, same = memory.store(b"value"), memory.store(b"value")
        assert one != same
        assert one != b"value"
        assert one == one  # noqa: PLR0124
        assert len({one, same}) == 2
        assert hash(one) == object.__hash__(one)


def test_nothing_can_be_hung_onto_a_secret(secret):
    with pytest.raises(AttributeError):
        secret.note = "x"
