"""The typed example of a user's program does at run time what its types say."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.typed import user_code


@pytest.fixture
def manifest(tmp_path: Path, canary: str) -> Path:
    """Return the path of a manifest with one secret that `.env` has and one that nothing has."""
    (tmp_path / ".env").write_text(f"DATABASE_PASSWORD={canary}\n")
    path = tmp_path / "sindri.yaml"
    path.write_text("secrets:\n  - name: DATABASE_PASSWORD\n    source: env\n  - name: ABSENT\n    source: env\n")
    return path


def test_one_value_is_read(manifest: Path, canary: str) -> None:
    assert user_code.read_one(manifest, "DATABASE_PASSWORD") == canary.encode()


def test_all_values_are_read_in_an_event_loop(manifest: Path, canary: str) -> None:
    assert asyncio.run(user_code.read_all(manifest)) == {"DATABASE_PASSWORD": canary.encode()}


def test_outcomes_are_described_in_the_order_of_the_manifest(manifest: Path) -> None:
    assert user_code.describe(manifest) == [("DATABASE_PASSWORD", "found"), ("ABSENT", "missing")]


def test_an_absent_required_secret_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "sindri.yaml"
    path.write_text("secrets:\n  - name: DATABASE_PASSWORD\n    source: env\n    required: true\n")
    assert "DATABASE_PASSWORD" in user_code.explain(path)


def test_a_wrong_manifest_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "sindri.yaml"
    path.write_text("secrets:\n  - name: DATABASE_PASSWORD\n    source: nowhere\n    requird: true\n")
    assert "2 mistakes" in user_code.explain(path)


def test_a_present_secret_needs_no_explanation(manifest: Path) -> None:
    assert user_code.explain(manifest) == ""


def test_the_version_is_text() -> None:
    assert user_code.version.count(".") == 2
