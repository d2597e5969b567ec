"""Running the tools of a target: input from memory, output by whole lines without values, nothing left running."""

from __future__ import annotations

import os
import sys
import time

import pytest

from sindri.errors import ToolFailedError, ToolMissingError
from sindri.formats.redaction import Redactor
from sindri.process.tools import ToolRun, find_tool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
PATH = {"PATH": os.environ["PATH"]}


def sh(script, **options):
    return ToolRun(("sh", "-c", script), environment=PATH, **options)


def test_output_comes_by_whole_lines_and_without_values():
    """The first value is written in two pieces, so that it may come by two reads."""
    lines: list[bytes] = []
    redact = Redactor([b"hunter2-hunter2", b"two\nlines of it"]).redact
    script = r"printf 'a hunter2-'; printf 'hunter2 b\ntwo\nlines of it\nlast' ; echo err >&2; exit 3"
    result = sh(script, redact=redact, on_line=lines.append).finish()
    assert result.exit_code == 3
    assert result.stdout == b"a <redacted> b\n<redacted>\nlast\n"
    assert result.stderr == b"err\n"
    assert sorted(lines) == sorted([*result.stdout.splitlines(), *result.stderr.splitlines()])


def test_megabytes_of_input_arrive_while_output_is_read():
    chunks: list[bytes | memoryview] = [os.urandom(1_000_000), memoryview(b""), memoryview(os.urandom(2_000_000))]
    result = ToolRun(("cat",), environment=PATH, stdin=chunks).finish()
    assert result.stdout.rstrip(b"\n") == b"".join(map(bytes, chunks)).rstrip(b"\n")


def test_a_tool_that_does_not_read_its_input_ends_as_it_likes():
    assert sh("exec <&-; exit 4", stdin=[b"x" * 5_000_000]).finish().exit_code == 4


def test_the_environment_is_exactly_what_was_given():
    result = ToolRun(("env",), environment={**PATH, "A": "b"}).finish()
    assert sorted(result.stdout.splitlines()) == sorted([f"PATH={PATH['PATH']}".encode(), b"A=b"])


def test_a_tool_that_takes_too_long_is_ended_with_all_its_children(tmp_path):
    script = f"sleep 600 & echo $! > {tmp_path}/child; wait"
    with pytest.raises(ToolFailedError, match="sh took longer than 1 s"):
        sh(script, timeout_s=1.0).finish()
    assert is_gone(int((tmp_path / "child").read_text()))


def test_an_exception_meanwhile_ends_the_tool(tmp_path):
    class StopError(BaseException):
        pass

    def stop(_line):
        raise StopError

    with pytest.raises(StopError):
        sh(f"echo $$ > {tmp_path}/pid; echo ready; sleep 600", on_line=stop).finish()
    assert is_gone(int((tmp_path / "pid").read_text()))


def test_a_tool_that_is_not_there_is_named():
    with pytest.raises(ToolMissingError, match="no-such-tool is needed and was not found"):
        find_tool("no-such-tool")


def is_gone(pid: int) -> bool:
    """Wait for the end of a process that was told to end; a zombie that nobody has collected yet has ended."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat", "rb") as stream:
                if stream.read().rpartition(b")")[2].split()[0] == b"Z":
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
    return False
