"""What a test may find missing on a machine: skipped there by name, a failure where `SINDRI_CI` is 1."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """End the test: *what* is not there."""
    if os.environ.get("SINDRI_CI") == "1":
        pytest.fail(f"{what} is missing, and with SINDRI_CI=1 nothing may be", pytrace=False)
    pytest.skip(f"{what} is missing")


def need_program(name: str) -> str:
    """Return the path of the program *name*."""
    return shutil.which(name) or missing(name)
