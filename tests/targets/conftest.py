"""The engine that the tests of targets share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.targets.engine import Engine, need_engine_programs


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Return a running engine, one for each worker."""
    need_engine_programs()
    folder: Path = tmp_path_factory.mktemp("engine")
    running = Engine(folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()
