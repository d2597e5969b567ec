"""The scanner is trusted because of these tests: it finds what is planted, in every shape, and nothing else."""

from __future__ import annotations

import os
import sys

import pytest

from sindri.testing.child import ChildFailedError, PausedChild
from sindri.testing.memory import (
    ANY_CHILD,
    DUMPABLE_CHILD,
    UNSUPPORTED,
    ScanError,
    describe,
    make_canaries,
    scan,
    scan_requirement,
    tally,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")

# Without root every child of these tests must be told to stay readable.
DUMPABLE = scan_requirement() != ANY_CHILD

READ_ALL = """
import os
def read(path):
    descriptor = os.open(path, os.O_RDONLY)
    buffer = bytearray(os.fstat(descriptor).st_size)
    os.readv(descriptor, [buffer])
    os.close(descriptor)
    return buffer
"""


@pytest.fixture
def canaries(tmp_path):
    made = make_canaries(20)
    (tmp_path / "canaries").write_bytes(b"\n".join(made))
    return made


def found_in(script, tmp_path, canaries, **options):
    with PausedChild(READ_ALL + script, cwd=tmp_path, dumpable=DUMPABLE, **options) as child:
        child.wait_for("look")
        hits = scan(child.pid, canaries)
        child.finish()
    return hits


@pytest.mark.parametrize(
    ("keep", "variant"),
    [
        ("kept = read('canaries')", "bytes"),
        ("kept = bytes(read('canaries'))", "bytes"),
        ("kept = read('canaries').decode()", "bytes"),
        ("kept = read('canaries').decode() + chr(0x20ac)", "ucs2"),
        ("kept = read('canaries').decode() + chr(0x1f600)", "ucs4"),
        (
            "import mmap; kept = mmap.mmap(-1, 99999); kept[1:1 + os.stat('canaries').st_size] = read('canaries')",
            "bytes",
        ),
    ],
    ids=["bytearray", "bytes", "ascii-str", "ucs2-str", "ucs4-str", "mmap"],
)
def test_every_kind_of_python_object_that_keeps_the_values_is_found(keep, variant, tmp_path, canaries):
    hits = found_in(f"{keep}\ncheckpoint('look')\n", tmp_path, canaries)
    assert {hit.needle for hit in hits if hit.variant == variant and hit.is_whole} == set(range(20))


def test_a_value_that_was_dropped_but_not_wiped_is_found(tmp_path, canaries):
    hits = found_in(
        "kept = [bytes(read('canaries')) for _ in range(9)]\ndel kept\ncheckpoint('look')\n", tmp_path, canaries
    )
    assert {hit.needle for hit in hits} == set(range(20))


@pytest.mark.parametrize("part", ["first", "last"])
def test_a_copy_is_found_when_only_one_half_of_it_is_left(part, tmp_path, canaries):
    # The half is cut off by the parent, so the whole never was in the child.
    half = {"first": slice(None, -14), "last": slice(14, None)}[part]
    (tmp_path / "canaries").write_bytes(b"\n".join(canary[half] for canary in canaries))
    hits = found_in("kept = read('canaries')\ncheckpoint('look')\n", tmp_path, canaries)
    assert {hit.needle for hit in hits} == set(range(20))
    assert not any(hit.is_whole for hit in hits)


def test_nothing_is_found_in_a_child_that_knows_only_the_prefix(tmp_path, canaries):
    assert found_in("kept = ['canary-' * 3] * 9\ncheckpoint('look')\n", tmp_path, canaries) == []


def test_nothing_is_found_after_secret_memory_is_closed_and_every_value_before(tmp_path, canaries):
    script = """
from sindri.files import read_secret_file
from sindri.secret import SecretMemory
memory = SecretMemory()
view, _ = read_secret_file("canaries", memory, limit_bytes=1 << 20)
checkpoint("open")
memory.close()
checkpoint("closed")
"""
    with PausedChild(script, cwd=tmp_path, dumpable=DUMPABLE) as child:
        child.wait_for("open")
        opened = scan(child.pid, canaries)
        child.resume()
        child.wait_for("closed")
        closed = scan(child.pid, canaries)
        child.finish()
    assert len(opened) == 20, describe(opened)
    assert {hit.needle for hit in opened} == set(range(20))
    assert closed == [], describe(closed)


def test_a_variable_of_the_shell_lies_in_the_environment_block_and_once_more_in_the_interpreter(tmp_path, canaries):
    """The numbers of docs/testing.md: two copies at the start, three after the variable was asked for."""
    env = {"ONE": canaries[0].decode(), "LC_ALL": "C.UTF-8"}
    script = "checkpoint('start')\nimport os\nkept = os.environ['ONE']\ncheckpoint('asked')\n"
    with PausedChild(script, env=env, dumpable=DUMPABLE) as child:
        child.wait_for("start")
        start = tally(scan(child.pid, canaries))
        child.resume()
        child.wait_for("asked")
        asked = tally(scan(child.pid, canaries))
        child.finish()
    assert start["[environ]"] == 1
    assert sum(start.values()) >= 2
    assert sum(asked.values()) > sum(start.values())


def test_a_value_in_the_argument_list_of_a_process_is_told_apart_from_its_environment(canaries):
    with PausedChild(f"# {canaries[0].decode()}\ncheckpoint('look')\n", dumpable=DUMPABLE) as child:
        child.wait_for("look")
        places = tally(scan(child.pid, canaries))
        child.finish()
    assert places["[argv]"] == 1
    assert "[environ]" not in places


def test_a_value_that_lies_across_two_windows_of_the_scan_is_found_once(tmp_path, canaries):
    script = """
import mmap
data = read('canaries')
size = 17 << 20
kept = mmap.mmap(-1, size)
for border in (8 << 20, 16 << 20):
    kept[border - 50:border - 50 + len(data)] = data
data[:] = bytes(len(data))
checkpoint('look')
"""
    hits = [hit for hit in found_in(script, tmp_path, canaries) if hit.mapping.startswith(("anonymous", "/dev/zero"))]
    per_needle = [sum(hit.needle == needle and hit.is_whole for hit in hits) for needle in range(20)]
    assert all(count >= 2 for count in per_needle), describe(hits)
    assert len({(hit.address, hit.needle) for hit in hits}) == len(hits)


def test_needles_without_anything_in_common_are_found_too(tmp_path):
    needles = [b"Zx81-first-one", b"a second and longer needle", b"\xff\xfe\xfd\xfc\xfb"]
    (tmp_path / "canaries").write_bytes(b"|".join(needles))
    hits = found_in("kept = read('canaries')\ncheckpoint('look')\n", tmp_path, needles)
    assert {hit.needle for hit in hits if hit.variant == "bytes"} == {0, 1, 2}


def test_a_report_counts_copies_by_place_and_shows_their_surroundings(tmp_path, canaries):
    hits = found_in("kept = read('canaries')\ncheckpoint('look')\n", tmp_path, canaries)
    report = describe(hits, shown=1)
    assert f"{len(hits)} copies of 20 values" in report
    assert report.count("\n") == 1
    assert describe([]) == "0 copies of 0 values (nowhere)"


def test_two_calls_never_make_the_same_canary_and_all_share_the_prefix():
    first, second = make_canaries(200, "pre-"), make_canaries(200, "pre-")
    assert len({*first, *second}) == 400
    assert all(canary.startswith(b"pre-") for canary in first)


def test_a_scan_for_nothing_is_refused_instead_of_finding_nothing():
    with pytest.raises(ValueError, match="at least one needle"):
        scan(os.getpid(), [])
    with pytest.raises(ValueError, match="none may be empty"):
        scan(os.getpid(), [b"a", b""])
    with pytest.raises(ValueError, match="no such variant: utf9"):
        scan(os.getpid(), [b"abc"], variants=["utf9"])


def test_a_process_that_has_ended_is_an_error_not_a_clean_scan(canaries):
    with PausedChild("checkpoint('look')\n") as child:
        child.wait_for("look")
        pid = child.pid
        child.finish()
        with pytest.raises(ScanError, match="process"):
            scan(pid, canaries)  # not yet reaped by the kernel, or gone: either way there is nothing to read
    with pytest.raises(ScanError, match="there is no process"):
        scan(2**22 + 1, canaries)


def test_what_a_scan_takes_here_is_said():
    assert scan_requirement() in (ANY_CHILD, DUMPABLE_CHILD, UNSUPPORTED)


SCANNER_WITHOUT_RIGHTS = """
from sindri.testing.child import PausedChild
from sindri.testing.memory import DUMPABLE_CHILD, ScanError, scan, scan_requirement
assert scan_requirement() == DUMPABLE_CHILD
hide = "import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\\n"
with PausedChild(hide + "checkpoint('look')", dumpable=DUMPABLE) as child:
    child.wait_for("look")
    try:
        scan(child.pid, [b"anything"])
        print("scanned")
    except ScanError as error:
        print(error)
    child.finish()
"""


@pytest.mark.skipif(DUMPABLE, reason="needs CAP_SYS_PTRACE, to give it up")
@pytest.mark.parametrize("dumpable", [False, True])
def test_without_root_a_child_is_readable_only_when_it_was_told_to_stay_dumpable(dumpable):
    # The scanner of this test is a process that has lost CAP_SYS_PTRACE (prctl(2), PR_CAPBSET_DROP 24) by an exec.
    root = os.path.join(os.path.dirname(__file__), *[".."] * 3, "src")
    scanner = f"import sys; sys.path.insert(0, {root!r}); DUMPABLE = {dumpable}\n{SCANNER_WITHOUT_RIGHTS}"
    script = f"""
import ctypes, os, sys
ctypes.CDLL(None).prctl(24, 19, 0, 0, 0)
checkpoint("start")
os.execv(sys.executable, [sys.executable, "-c", {scanner!r}])
"""
    with PausedChild(script) as child:
        child.wait_for("start")
        printed = child.finish()
    assert ("scanned" in printed) is dumpable
    assert ("not root: it can only scan a child that was told to stay dumpable" in printed) is not dumpable


def test_a_child_that_fails_says_why(tmp_path):
    with (
        PausedChild("raise SystemExit('no such luck')") as child,
        pytest.raises(ChildFailedError, match="ended with status 1 before checkpoint 'x'\nno such luck"),
    ):
        child.wait_for("x")
    with (
        PausedChild("checkpoint('y')") as child,
        pytest.raises(ChildFailedError, match="stands at checkpoint 'y', not 'x'"),
    ):
        child.wait_for("x")
    with PausedChild("checkpoint('y')\nraise SystemExit(3)") as child:
        child.wait_for("y")
        with pytest.raises(ChildFailedError, match="ended with status 3"):
            child.finish()


def test_a_child_that_never_arrives_is_an_error_and_is_gone_afterwards():
    with PausedChild("import signal; signal.pause()", timeout_s=0.2) as child:
        pid = child.pid
        with pytest.raises(ChildFailedError, match=r"did not reach checkpoint 'x' within 0\.2 s"):
            child.wait_for("x")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
