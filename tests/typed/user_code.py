"""What a program that uses Sindri may look like. mypy strict checks it in `scripts/check`, and against the wheel in CI;
tests/typed/test_user_code.py runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

import sindri

if TYPE_CHECKING:
    from pathlib import Path


def read_one(manifest: Path, name: str) -> bytes:
    """Return one value."""
    with sindri.resolve(manifest) as resolution:
        assert_type(resolution, sindri.Resolution)
        secret = resolution[name]
        assert_type(secret, sindri.Secret)
        return secret.reveal()


async def read_all(manifest: Path) -> dict[str, bytes]:
    """Return every value, without blocking the event loop."""
    with await sindri.aresolve(manifest) as resolution:
        return {name: resolution[name].reveal() for name in resolution}


def describe(manifest: Path) -> list[tuple[str, str]]:
    """Return each declared secret with what became of it; no value is needed for that."""
    loaded = sindri.load_manifest(manifest)
    assert_type(loaded, sindri.Manifest)
    with sindri.resolve(loaded, strict=False, fallback=False) as resolution:
        for outcome in resolution.outcomes:
            assert_type(outcome, sindri.Outcome)
        return [(outcome.spec.name, outcome.status) for outcome in resolution.outcomes]


def explain(manifest: Path) -> str:
    """Return why the project's secrets cannot be had, or nothing."""
    try:
        with sindri.resolve(manifest, only=["DATABASE_PASSWORD"]):
            return ""
    except sindri.ResolutionError as error:
        return "; ".join(failure.problem for failure in error.failures)
    except sindri.ManifestError as error:
        return f"{error.problem}: {len(error.problems)} mistakes"


version: str = sindri.__version__


if TYPE_CHECKING:
    # Each of these is a mistake that a type checker must find: an unused "ignore" fails the check.
    sindri.nonsense  # type: ignore[attr-defined]  # noqa: B018
    sindri.resolve(nonsense=True)  # type: ignore[call-arg]
    sindri.resolve(42)  # type: ignore[arg-type]
    len(sindri.Secret.from_bytes(b"x"))  # type: ignore[arg-type]
