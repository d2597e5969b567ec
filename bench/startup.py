#!/usr/bin/env python3
"""How long whole processes of `sindri` take, beside a bare interpreter in the same run.

Every number is the median of interleaved runs, so that a busy moment of the machine falls on all of them alike. The
ratios are what counts; they are printed against `python -I -c pass` of the same interpreter.

    python bench/startup.py [RUNS]
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 20
SIZES = (200, 1_000, 5_000)
GOALS = {"--version": 1.3, "run -- true (200)": 3.0, "list (200)": 3.5, "validate (200)": 3.5}


def make_project(folder: str, secrets: int) -> str:
    """Write a manifest of *secrets* names and the `.env` file that has them all."""
    project = os.path.join(folder, str(secrets))
    os.mkdir(project)
    names = [f"SECRET_NUMBER_{number}" for number in range(secrets)]
    with open(os.path.join(project, "sindri.yaml"), "w", encoding="utf-8") as stream:
        stream.write('version: "3"\nname: bench\nsecrets:\n')
        stream.writelines(f"  - name: {name}\n    source: env\n    required: true\n" for name in names)
    with open(os.path.join(project, ".env"), "w", encoding="utf-8") as stream:
        stream.writelines(f"{name}=value-{number}-abcdefghij\n" for number, name in enumerate(names))
    return project


def commands(folder: str) -> dict[str, tuple[list[str], str]]:
    """Return what is measured: label -> argv and the folder it runs in."""
    sindri = os.path.join(os.path.dirname(sys.executable), "sindri")
    projects = {size: make_project(folder, size) for size in SIZES}
    measured = {"python -I -c pass": ([sys.executable, "-I", "-c", "pass"], folder)}
    measured["--version"] = ([sindri, "--version"], folder)
    for size, project in projects.items():
        measured[f"run -- true ({size})"] = ([sindri, "run", "--", "true"], project)
        measured[f"list ({size})"] = ([sindri, "secrets", "list"], project)
        measured[f"validate ({size})"] = ([sindri, "secrets", "validate"], project)
    return measured


def wall_ms(argv: list[str], folder: str) -> float:
    """Return how long one process took, in milliseconds; its output is thrown away."""
    start = time.perf_counter()
    subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1000


def main() -> int:
    """Measure and print the table."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    with tempfile.TemporaryDirectory() as folder:
        measured = commands(folder)
        times: dict[str, list[float]] = {label: [] for label in measured}
        for _ in range(runs + 1):  # the first round fills caches and is dropped
            for label, (argv, place) in measured.items():
                times[label].append(wall_ms(argv, place))
    medians = {label: statistics.median(sample[1:]) for label, sample in times.items()}
    bare = medians["python -I -c pass"]
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, median of {runs} runs")
    for label, median in medians.items():
        goal = f"  goal {GOALS[label]:.1f}x" if label in GOALS else ""
        print(f"{label:<22} {median:8.1f} ms {median / bare:6.2f}x{goal}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
