"""A pytest plugin: a planted value must not appear in what a test run shows.

Tests plant `CANARY` as a secret's value. Whatever pytest would show of a test, passed or failed (traceback, assertion,
log, standard error), is searched for it; standard output is not, because data commands write values there.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator

import pytest

CANARY = f"canary-{secrets.token_hex(16)}"
"""Made anew for each process of a test run, so that no file of the repository can hold it."""


@pytest.fixture
def canary() -> str:
    """Return the value to plant."""
    return CANARY


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail the test that shows the canary, and show it no further."""
    report = yield
    shown = [title for title, text in report.sections if CANARY in text and "stdout" not in title]
    if CANARY in report.longreprtext:
        shown.append("traceback")
    if shown:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: the planted canary appears in: {', '.join(shown)}"
        report.sections = [(title, text) for title, text in report.sections if CANARY not in text]
    return report
