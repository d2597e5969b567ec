"""A program that starts another one through `sindri.process`, as told by its only argument: JSON, or a file of it.

Run by the tests in a process of its own, because what is tested replaces the process, or takes over its signals.
"""

from __future__ import annotations

import json
import os
import sys

from sindri.errors import SindriError
from sindri.process import FileForChild, exec_program, find_program, harden, supervise_program


def main(order: dict) -> int:
    words = order["argv"]
    environment: dict[bytes, bytes | memoryview] = dict(os.environb)
    environment |= {name.encode(): bytes.fromhex(value) for name, value in order["values"].items()}
    if order["views"]:
        environment = {name: memoryview(value) for name, value in environment.items()}
    files = [
        FileForChild(name=name, view=memoryview(bytes.fromhex(content)), mode=mode)
        for name, content, mode in order["files"]
    ]
    if order["harden"] and not harden():
        return 99
    if order["without_memfd"]:
        del os.memfd_create  # as on macOS
    try:
        program = find_program(words[0], os.environ.get("PATH"))
        if order["form"] == "exec":
            exec_program(program, words, environment, files)
        return supervise_program(program, words, environment, files)
    except SindriError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    text = sys.argv[1]
    if text.startswith("/"):
        with open(text, encoding="ascii") as file:
            text = file.read()
    sys.exit(main(json.loads(text)))
