"""A planted value is seen where it was asked for and nowhere else, whatever goes wrong, with `--debug` too."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.project import declare, file_secret, run_watched

PLACES = ("shell", ".env.local", ".env", "fromFile", "file")
REPORTS = {
    "validate": ("secrets", "validate"),
    "validate --json": ("secrets", "validate", "--json"),
    "list": ("secrets", "list"),
    "list --json": ("secrets", "list", "--json"),
    "why": ("secrets", "why", "A"),
    "why --json": ("secrets", "why", "A", "--json"),
    "doctor": ("doctor",),
    "doctor --json": ("doctor", "--json"),
    "schema": ("schema",),
    "init": ("init", "--yes"),
    "run": ("run", "--", "true"),
    "run --supervise": ("run", "--supervise", "--", "true"),
    "run that cannot start": ("run", "--", "./nothing"),
    "get another": ("secrets", "get", "OTHER"),
    "get nothing": ("secrets", "get", "A", "extra"),
    "export another": ("secrets", "export", "--only", "OTHER"),
    "export what it cannot": ("secrets", "export", "--format", "powershell"),
    "set": ("secrets", "set", "OTHER", "--stdin"),
    "a name that is missing": ("secrets", "validate", "--only", "MISSING"),
}


def plant(folder: Path, place: str, value: bytes) -> dict[bytes, bytes]:
    """Put *value* where the secret A is found, and return the environment to run with."""
    more = {"fromFile": "  - {name: A, source: env, fromFile: f}\n", "file": file_secret("A", "f")}
    own = more.get(place, "  - {name: A, source: env}\n")
    declare(folder, "OTHER", more=own + "  - {name: MISSING, source: env, required: true}\n")
    environment = dict(os.environb)
    if place == "shell":
        environment[b"A"] = value
    elif place.startswith(".env"):
        (folder / place).write_bytes(b"OTHER=other\nA='" + value + b"'\n")
    else:
        (folder / "f").write_bytes(value)
    return environment


def traces_of(value: bytes) -> list[bytes]:
    """Return what would give *value* away: itself, parts of it, and the ways it may be written."""
    half = len(value) // 2
    return [value, value[:half], value[half:], value.hex().encode(), base64.b64encode(value)[:-4], value[::-1]]


@pytest.mark.parametrize(("place", "debug"), [*((place, ("--debug",)) for place in PLACES), (".env", ())])
def test_no_command_shows_a_value_that_was_not_asked_for(tmp_path, canary, place, debug):
    value = canary.encode()
    for title, arguments in REPORTS.items():
        environment = plant(tmp_path, place, value)
        command = [sys.executable, "-m", "sindri", *debug, *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, input=b"x", capture_output=True, check=False)
        shown = done.stdout + done.stderr
        assert done.returncode != 1, title
        assert not [title for trace in traces_of(value) if trace in shown]


@pytest.mark.parametrize("place", PLACES)
def test_what_asks_for_a_value_shows_it_on_standard_output_alone(tmp_path, canary, place):
    environment = plant(tmp_path, place, canary.encode())
    calls: list[tuple[str, ...]] = [("secrets", "get", "A", "--debug"), ("secrets", "get", "A", "--json")]
    if place != "file":
        calls += [("secrets", "export", "--only", "A", "--format", name) for name in ("shell", "dotenv", "json")]
    for arguments in calls:
        command = [sys.executable, "-m", "sindri", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
        assert canary.encode() in done.stdout
        assert canary.encode() not in done.stderr


BROKEN_BY_THE_VALUE = {
    ".env": "A='{}\n",
    ".env.local": "A {}\n",
    "quotes": 'A="{}"x\n',
    "a name": "{} = 1 = 2 '\n",
}


@pytest.mark.parametrize("text", BROKEN_BY_THE_VALUE.values(), ids=BROKEN_BY_THE_VALUE)
@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["plain", "debug"])
def test_a_line_that_cannot_be_read_is_not_shown(sindri, tmp_path, canary, text, debug):
    declare(tmp_path, "A")
    (tmp_path / ".env").write_text(text.format(canary))
    for arguments in (("secrets", "validate"), ("secrets", "get", "A", "--json"), ("run", "true"), ("init", "--yes")):
        done = sindri(*debug, *arguments)
        assert canary.encode() not in done.stdout + done.stderr


PASTED = {
    "as name": "secrets: [{{name: '{}', source: env}}]\n",
    "as name with its value": "secrets: [{{name: 'A={}', source: env}}]\n",
    "as key": "secrets: [{{name: A, source: env, '{}': 1}}]\n",
    "as value": "secrets: [{{name: A, source: env, value: '{}'}}]\n",
    "as source": "secrets: [{{name: A, source: 'env {}'}}]\n",
    "as an item": "secrets: ['A={}']\n",
    "as the text": "secrets: 'A={}'\n",
    "as the file": "A={}\n",
    "as a mode": "secrets: [{{name: A, source: file, path: a, mountPath: /a, permissions: '+{}'}}]\n",
    "as a tag": "secrets: [!<{}> a]\n",
    "in broken YAML": "secrets: [ : '{}\n",
}


@pytest.mark.parametrize("text", PASTED.values(), ids=PASTED)
def test_a_value_pasted_into_the_manifest_is_not_shown_where_it_does_not_look_like_a_name(sindri, tmp_path, text):
    value = "sk:p@ss w0rd;Zq7"  # what looks like a name is shown, or no mistake in one could be found
    (tmp_path / "sindri.yaml").write_text(text.format(value))
    done = sindri("secrets", "validate", "--debug")
    assert done.returncode == 3
    assert b"w0rd" not in done.stdout + done.stderr
    assert b"Zq7" not in done.stdout + done.stderr


BUG = """
import sindri.resolver
def fail(self):
    value = self._context.environment.from_shell("A").reveal()
    raise ValueError(value)
sindri.resolver.Search.outcomes = fail
"""


@pytest.mark.parametrize("debug", [(), ("--debug",)], ids=["plain", "debug"])
@pytest.mark.parametrize("arguments", [("secrets", "validate"), ("run", "--", "true"), ("secrets", "why", "A")])
def test_a_bug_of_ours_shows_where_it_is_and_nothing_that_it_held(tmp_path, canary, arguments, debug):
    declare(tmp_path, "A")
    done = run_watched(BUG, (*debug, *arguments), tmp_path, env={"A": canary})
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"Error: Sindri has a bug: ValueError at <string>:")
    assert (b"came this way" in done.stderr) == bool(debug)
    assert b"Traceback" not in done.stderr
    assert canary.encode() not in done.stderr
