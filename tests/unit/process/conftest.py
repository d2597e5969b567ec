"""Fixtures for tests that start programs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import pytest

from tests.unit.process.launching import FORMS, Launch

if sys.platform == "win32":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(params=FORMS)
def launch(request, tmp_path_factory) -> Launch:
    """Return the launcher, in both forms of `run` one after the other."""
    return Launch(request.param, tmp_path_factory.mktemp("launch"))


@pytest.fixture(params=["exec", "supervise", "supervise-folder"])
def launch_with_files(request, tmp_path_factory) -> Callable:
    """Return the launcher in every way in which a program gets files; a folder needs the form that removes it."""
    form, _, folder = request.param.partition("-")
    return partial(Launch(form, tmp_path_factory.mktemp("launch")), without_memfd=bool(folder))
