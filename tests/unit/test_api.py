"""`resolve` and `aresolve`, as a program calls them."""

from __future__ import annotations

import asyncio
import threading

import pytest

import sindri
from sindri import api
from sindri.errors import EnvFileError, ManifestError, ResolutionError, UsageError
from sindri.model import EnvSpec, FileSpec, Manifest, Resolution, VaultAddress, VaultSpec
from sindri.secret import SecretMemory


@pytest.fixture
def manifest(tmp_path):
    """Return a function that makes the manifest of *tmp_path*."""

    def make(*specs):
        return Manifest(path=str(tmp_path / "sindri.yaml"), display="sindri.yaml", folder=str(tmp_path), secrets=specs)

    return make


@pytest.fixture
def memories(monkeypatch):
    """Return the list of every memory that `resolve` makes."""
    made = []

    class WatchedMemory(SecretMemory):
        __slots__ = ()

        def __init__(self):
            super().__init__()
            made.append(self)

    monkeypatch.setattr(api, "SecretMemory", WatchedMemory)
    return made


THREE = (EnvSpec(name="API_KEY", required=True), EnvSpec(name="API_TOKEN"), EnvSpec(name="OTHER"))


def test_secrets_are_there_inside_the_context_and_wiped_behind_it(manifest, monkeypatch):
    monkeypatch.setenv("API_KEY", "value")
    with sindri.resolve(manifest(*THREE)) as resolution:
        assert isinstance(resolution, Resolution)
        secret = resolution["API_KEY"]
        assert secret.reveal() == b"value"
        assert list(resolution) == ["API_KEY"]
    with pytest.raises(ValueError, match="wiped"):
        secret.reveal()


def test_a_manifest_can_be_a_path_or_be_found_from_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "sindri.yaml").write_text("version: '3.0'\nname: x\nsecrets:\n  - name: API_KEY\n    source: env\n")
    (tmp_path / ".env").write_text("API_KEY=from the file")
    (tmp_path / ".git").mkdir()
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    for given in (None, tmp_path / "sindri.yaml", str(tmp_path / "sindri.yaml"), "../sindri.yaml"):
        with sindri.resolve(given) as resolution:
            assert resolution["API_KEY"].reveal() == b"from the file"


def test_a_missing_manifest_is_said(tmp_path):
    with pytest.raises(ManifestError):
        sindri.resolve(tmp_path / "sindri.yaml")


def test_a_failure_raises_all_failures_and_wipes_what_was_found(manifest, monkeypatch, memories):
    monkeypatch.setenv("FOUND", "value")
    missing = FileSpec(name="KEY", path="no.pem", mount_path="/k", required=True)
    unreachable = VaultSpec(name="URL", vault=VaultAddress(path="p", key="k"))
    with pytest.raises(ResolutionError) as caught:
        sindri.resolve(manifest(EnvSpec(name="FOUND"), missing, *THREE, unreachable))
    assert [failure.code for failure in caught.value.failures] == ["not-found", "not-found", "unreachable"]
    assert caught.value.exit_code == 5
    assert [memory.closed for memory in memories] == [True]


def test_without_strictness_failures_stand_in_the_resolution(manifest, monkeypatch):
    monkeypatch.setenv("OTHER", "value")
    with sindri.resolve(manifest(*THREE), strict=False) as resolution:
        assert [failure.code for failure in resolution.failures] == ["not-found"]
        assert resolution["OTHER"].reveal() == b"value"


def test_an_env_file_that_cannot_be_read_wipes_too(manifest, tmp_path, memories):
    (tmp_path / ".env").write_text("A=1\nB='")
    with pytest.raises(EnvFileError):
        sindri.resolve(manifest(*THREE))
    assert [memory.closed for memory in memories] == [True]


def test_the_choices_are_passed_on(manifest, tmp_path, monkeypatch):
    (tmp_path / "my.env").write_text("API_KEY=mine")
    unreachable = VaultSpec(name="URL", vault=VaultAddress(path="p", key="k"))
    falling_back = VaultSpec(name="API_KEY", vault=VaultAddress(path="p", key="k"), fallback="env")
    made = manifest(*THREE, unreachable)
    with sindri.resolve(made, env_file="my.env", skip_unreachable=True) as resolution:
        assert resolution["API_KEY"].reveal() == b"mine"
    with sindri.resolve(made, env_file="my.env", only=["API_KEY"]) as resolution:
        assert [outcome.spec.name for outcome in resolution.outcomes] == ["API_KEY"]
    with sindri.resolve(manifest(falling_back), env_file="my.env") as resolution:
        assert resolution["API_KEY"].reveal() == b"mine"
    with pytest.raises(ResolutionError):
        sindri.resolve(manifest(falling_back), env_file="my.env", fallback=False)


def test_an_undeclared_name_is_refused_with_the_nearest_before_anything_is_read(manifest, memories):
    with pytest.raises(UsageError) as caught:
        sindri.resolve(manifest(*THREE), only=["OTHER", "API_KEYS"])
    assert str(caught.value) == "sindri.yaml declares no secret API_KEYS\n  hint: did you mean API_KEY?"
    with pytest.raises(UsageError) as caught:
        sindri.resolve(manifest(*THREE), only=["ZZZ"])
    assert caught.value.hint == "`sindri secrets list` shows the declared names"
    assert caught.value.exit_code == 2
    assert memories == []


def test_one_text_is_not_taken_for_its_letters(manifest):
    with pytest.raises(UsageError) as caught:
        sindri.resolve(manifest(EnvSpec(name="A"), EnvSpec(name="B")), only="AB")
    assert caught.value.hint == "write only=['AB']"


def test_no_names_are_a_choice_too(manifest):
    with sindri.resolve(manifest(*THREE), only=[]) as resolution:
        assert len(resolution) == 0
        assert resolution.outcomes == ()


def test_aresolve_gives_the_same_and_works_beside_the_event_loop(manifest, monkeypatch):
    monkeypatch.setenv("API_KEY", "value")
    threads = []
    real = api.resolve

    def watched(*arguments, **choices):
        threads.append(threading.current_thread())
        return real(*arguments, **choices)

    monkeypatch.setattr(api, "resolve", watched)

    async def run():
        with await api.aresolve(manifest(*THREE), only=["API_KEY"]) as resolution:
            return resolution["API_KEY"].reveal()

    assert asyncio.run(run()) == b"value"
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


def test_aresolve_raises_what_resolve_does(manifest):
    with pytest.raises(ResolutionError):
        asyncio.run(sindri.aresolve(manifest(*THREE)))
