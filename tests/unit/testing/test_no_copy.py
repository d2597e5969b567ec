"""After `close()` no copy of a value from an env file or a `file` source is left in the memory of the process.

The scanner is the parent. The child, a user's program, knows the canaries by their prefix only; it reads them from the
project's files. It stays readable for its parent where the tests do not run as root.
"""

from __future__ import annotations

import os
import sys
import threading

import pytest

from sindri.testing.child import PausedChild
from sindri.testing.memory import ANY_CHILD, describe, make_canaries, scan, scan_requirement

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's /proc")

COUNT = 200
LARGE_BYTES = 40_000
DUMPABLE = scan_requirement() != ANY_CHILD

RESOLVE = """
import sindri
resolution = sindri.resolve({arguments})
assert len(resolution) == {count}, len(resolution)
checkpoint("open")
{use}
resolution.close()
checkpoint("closed")
"""

# Each way that an env file may hold a value; what stands around the canary makes the reader do its work.
ENV_FORMS = (
    "{name}={value}",
    "export {name} = {value}   # a comment",
    "{name}='{value}'",
    "{name}='it\\'s {value}'",
    '{name}="{value}"',
    '{name}="a\\n\\t\\"{value}\\"\\\\ b"',
    '{name}="first line\n{value}\nlast line"',
)


class Project:
    """A folder with a manifest whose values are canaries, in every place that a local source reads."""

    def __init__(self, folder, canaries):
        self.folder = folder
        self.canaries = canaries
        self.entries: list[str] = []
        self.files: dict[str, list[str]] = {".env": [], ".env.local": []}
        (folder / "values").mkdir()
        for number, canary in enumerate(canaries):
            self.place(number, canary.decode())
        for name, lines in self.files.items():
            (folder / name).write_text("\n".join(lines) + "\n")
        (folder / "sindri.yaml").write_text("version: '3.0'\nname: canaries\nsecrets:\n" + "".join(self.entries))

    def place(self, number, value):
        name = f"SECRET_{number}"
        kind = number % 5
        path = f"values/{number}"
        if kind < 3:
            form = ENV_FORMS[number % len(ENV_FORMS)]
            self.files[".env" if number % 2 else ".env.local"].append(form.format(name=name, value=value))
            self.entries.append(f"  - name: {name}\n    source: env\n    required: true\n")
        elif kind == 3:
            (self.folder / path).write_text(f"{value}\n")
            self.entries.append(f"  - name: {name}\n    source: env\n    fromFile: {path}\n    required: true\n")
        else:
            # Small ones share a mapping, large ones have their own; a private key is looked at for its header.
            padding = "x" * LARGE_BYTES if number % 10 == 4 else "-----END PRIVATE KEY-----\n"
            (self.folder / path).write_text(f"-----BEGIN PRIVATE KEY-----\n{value}\n{padding}")
            os.chmod(self.folder / path, 0o644 if number % 3 else 0o600)
            self.entries.append(
                f"  - name: {name}\n    source: file\n    path: {path}\n    mountPath: /run/{number}\n"
                "    permissions: '0600'\n    required: true\n"
            )


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path, make_canaries(COUNT))


def scans(project, script, *, names=("open", "closed")):
    """Run *script* in the project and return the hits at each checkpoint."""
    found = []
    with PausedChild(script, cwd=project.folder, dumpable=DUMPABLE) as child:
        for position, name in enumerate(names):
            if position:
                child.resume()
            child.wait_for(name)
            found.append(scan(child.pid, project.canaries))
        child.finish()
    return found


def test_no_copy_of_a_resolved_value_is_left_after_close(project):
    opened, closed = scans(project, RESOLVE.format(arguments="", count=COUNT, use=""))
    assert {hit.needle for hit in opened} == set(range(COUNT))  # or the scan would prove nothing
    assert closed == [], describe(closed)


def test_while_it_is_open_a_resolution_holds_each_value_once(project):
    opened, _ = scans(project, RESOLVE.format(arguments="", count=COUNT, use=""))
    per_value = [sum(hit.needle == number for hit in opened) for number in range(COUNT)]
    # A value with escapes is decoded where it stands, so that there is never a second buffer to wipe.
    assert per_value == [1] * COUNT, describe([hit for hit in opened if per_value[hit.needle] > 1])


def test_what_reads_a_value_through_its_view_leaves_no_copy_either(project):
    use = "import hashlib\nfor name in resolution: hashlib.sha256(resolution[name].view()).digest()"
    _, closed = scans(project, RESOLVE.format(arguments="", count=COUNT, use=use))
    assert closed == [], describe(closed)


def test_views_that_a_program_still_holds_show_zeros(project):
    use = "kept = [resolution[name].view() for name in resolution]"
    check = "\nassert not any(any(view) for view in kept)"
    _, closed = scans(project, RESOLVE.format(arguments="", count=COUNT, use=use) + check)
    assert closed == [], describe(closed)


def test_only_values_that_were_revealed_can_be_left_behind(project):
    """The numbers stand in docs/testing.md; what a program does with `reveal` is its own affair."""
    use = "kept = [resolution[f'SECRET_{number}'].reveal() for number in range(10)]"
    _, closed = scans(project, RESOLVE.format(arguments="", count=COUNT, use=use))
    assert {hit.needle for hit in closed} == set(range(10)), describe(closed)


def test_an_env_file_that_comes_through_a_pipe_leaves_no_copy(project):
    # The size of a pipe is not known before its end: the buffer has to grow, several times.
    lines = [f"SECRET_{number}={value.decode()}" for number, value in enumerate(project.canaries) if number % 5 < 3]
    filler = [f"# {'x' * 1000}"] * 300
    half = len(lines) // 2
    text = "\n".join([*lines[:half], *filler, *lines[half:], ""]).encode()
    os.mkfifo(project.folder / "piped.env")

    def feed():
        with open(project.folder / "piped.env", "wb") as pipe:
            pipe.write(text)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    opened, closed = scans(project, RESOLVE.format(arguments="env_file='piped.env'", count=COUNT, use=""))
    feeder.join()
    assert {hit.needle for hit in opened} == set(range(COUNT))
    assert closed == [], describe(closed)


FAILS = """
import sindri
try:
    sindri.resolve()
except sindri.{error} as error:
    kept = error  # with its traceback, as a program does that reports it later
else:
    raise SystemExit("it did not fail")
checkpoint("failed")
"""


def test_a_resolution_that_fails_for_a_missing_secret_leaves_no_copy_of_the_others(project):
    with open(project.folder / "sindri.yaml", "a") as manifest:
        manifest.write("  - name: ABSENT\n    source: env\n    required: true\n")
    [failed] = scans(project, FAILS.format(error="ResolutionError"), names=["failed"])
    assert failed == [], describe(failed)


def test_an_env_file_with_a_broken_line_leaves_no_copy_of_the_lines_before_and_after(project):
    with open(project.folder / ".env", "a") as env_file:
        env_file.write(f'BROKEN="{project.canaries[0].decode()}\n')
    [failed] = scans(project, FAILS.format(error="EnvFileError"), names=["failed"])
    assert failed == [], describe(failed)


def test_an_env_file_that_is_not_utf_8_leaves_no_copy(project):
    with open(project.folder / ".env", "ab") as env_file:
        env_file.write(b"BROKEN=\xff\n")
    [failed] = scans(project, FAILS.format(error="EnvFileError"), names=["failed"])
    assert failed == [], describe(failed)


def test_asking_every_rung_leaves_no_copy(project):
    script = """
import sindri
from sindri.environment import Environment
from sindri.resolver import Choices, Search
from sindri.secret import SecretMemory
manifest = sindri.load_manifest()
memory = SecretMemory()
search = Search(manifest, Environment(manifest.folder, memory), memory, Choices())
ladders = [search.ladder(spec) for spec in manifest.secrets]
checkpoint("open")
memory.close()
checkpoint("closed")
"""
    opened, closed = scans(project, script)
    assert {hit.needle for hit in opened} == set(range(COUNT))
    assert closed == [], describe(closed)


def test_a_value_of_the_shell_stays_where_the_interpreter_put_it_and_nowhere_else(project):
    """What cannot be wiped: the environment block, and the table that `os.environ` was made from."""
    names = {f"SECRET_{number}": value.decode() for number, value in enumerate(project.canaries) if number % 5 < 3}
    script = "checkpoint('start')\n" + RESOLVE.format(arguments="", count=COUNT, use="")
    # Values of the files are out of the way, so that what is found came through the shell.
    for name in (".env", ".env.local"):
        os.unlink(project.folder / name)
    with PausedChild(script, cwd=project.folder, env={**os.environ, **names}, dumpable=DUMPABLE) as child:
        child.wait_for("start")
        start = scan(child.pid, project.canaries)
        child.resume()
        child.wait_for("open")
        child.resume()
        child.wait_for("closed")
        closed = scan(child.pid, project.canaries)
        child.finish()
    assert len(start) >= 2 * len(names)
    assert sorted((hit.needle, hit.mapping) for hit in closed) == sorted((hit.needle, hit.mapping) for hit in start)
