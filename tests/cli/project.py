"""Small projects for tests, and the program with something watching it from inside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TIMEOUT_S = 60
SCREEN = (24, 80)


def declare(folder: Path, *names: str, more: str = "") -> None:
    """Write a manifest with optional secrets of `source: env`; *more* is YAML for further ones."""
    entries = "".join(f"  - name: {name}\n    source: env\n" for name in names)
    (folder / "sindri.yaml").write_text(f"secrets:\n{entries}{more}" if entries or more else "secrets: []\n")


def file_secret(name: str, path: str, **keys: str) -> str:
    """Return the YAML of a secret with `source: file`."""
    lines = [f"  - name: {name}", "source: file", f"path: {path}", f"mountPath: /run/{name}"]
    return "\n    ".join([*lines, *(f"{key}: {value}" for key, value in keys.items())]) + "\n"


def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start `sindri ARGUMENTS` in a process of its own."""
    return subprocess.Popen([sys.executable, "-m", "sindri", *arguments], **options)


def unmeasured() -> dict[str, str]:
    """Return the environment without what makes a child measure its coverage, and write that down in the end."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


def run_watched(
    watch: str, arguments: Iterable[str], folder: Path, *, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the program with the Python code *watch* before it, in the same process. `sys` and `os` are there."""
    script = f"import os, sys\n{watch}\nfrom sindri.cli.main import main\nsys.exit(main({list(arguments)!r}))\n"
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**unmeasured(), **(env or {})},
        input=stdin,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def environment_of(block: bytes) -> dict[bytes, bytes]:
    """Return the variables in what /proc/PID/environ holds; none may stand there twice."""
    pairs = [entry.partition(b"=")[::2] for entry in block.split(b"\0") if entry]
    variables = dict(pairs)
    assert len(variables) == len(pairs), "a variable is there twice"
    return variables


def assert_one_screen(stderr: bytes) -> None:
    """Refuse what does not begin as an error of ours, or is more than a screen holds."""
    text = stderr.decode()
    assert text.startswith("Error: "), text[:300]
    assert "bug" not in text
    assert "Traceback" not in text
    rows = sum(1 + (len(line) - 1) // SCREEN[1] for line in text.splitlines())
    assert rows <= SCREEN[0], text[:2000]
    assert all(letter.isprintable() or letter == "\n" for letter in text)
