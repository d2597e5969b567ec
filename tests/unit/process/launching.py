"""How the tests of this folder start the launcher."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FORMS = ("exec", "supervise")


class Launch:
    """Command lines and finished runs of the launcher, in one form."""

    def __init__(self, form: str, folder: Path | None = None) -> None:
        self.form = form
        self._folder = folder

    def command(
        self,
        *argv: str,
        values: Mapping[str, bytes] | None = None,
        files: Sequence[tuple[str, bytes, int]] = (),
        **switches: bool,
    ) -> list[str]:
        """Return the command that starts *argv* with *values* and *files*."""
        order = {
            "form": self.form,
            "argv": argv,
            "values": {name: value.hex() for name, value in (values or {}).items()},
            "files": [(name, content.hex(), mode) for name, content, mode in files],
            **{switch: switches.pop(switch, False) for switch in ("views", "harden", "without_memfd")},
        }
        assert not switches
        text = json.dumps(order)
        if self._folder is not None:  # an order may be larger than what argv carries
            (self._folder / "order.json").write_text(text)
            text = str(self._folder / "order.json")
        return [sys.executable, str(HERE / "launcher.py"), text]

    def __call__(self, *argv: str, popen: Mapping[str, Any] | None = None, **order: Any) -> subprocess.CompletedProcess:
        """Run *argv* to its end."""
        return subprocess.run(
            self.command(*argv, **order), capture_output=True, timeout=60, check=False, **(popen or {})
        )


def python(code: str, *arguments: str) -> list[str]:
    """Return the command that runs *code* in an interpreter without site packages."""
    return [sys.executable, "-I", "-S", "-c", code, *arguments]


class Lines:
    """Lines that come from a descriptor, waited for one by one."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "rb", buffering=0)

    def next(self) -> str:
        """Return the next line; "" when all writers are gone."""
        return self._file.readline().decode().rstrip("\n")

    def close(self) -> None:
        self._file.close()
