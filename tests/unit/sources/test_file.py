"""`source: file`: content, modes, and the warning about private keys."""

from __future__ import annotations

import os

import pytest

from sindri.environment import Environment
from sindri.errors import AccessDeniedError, SecretNotFoundError
from sindri.model import Candidate, FileSpec, Manifest
from sindri.secret import SecretMemory
from sindri.sources.base import SourceContext
from sindri.sources.file import build
from tests.unprivileged import unprivileged

KINDS = ["", "RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ", "PGP "]
KEY = b"-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----\n"
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture
def ask(tmp_path):
    """Return a function that asks for one file of a manifest in *tmp_path*."""
    with SecretMemory() as memory:

        def ask(path, folder=None, **fields):
            folder = str(folder or tmp_path)
            manifest = Manifest(path=f"{folder}/sindri.yaml", display="sindri.yaml", folder=folder)
            environment = Environment(folder, memory, shell={})
            source = build(SourceContext(manifest=manifest, environment=environment, memory=memory))
            spec = FileSpec(name="A", path=str(path), mount_path="/run/a", **fields)
            (outcome,) = source.answer([Candidate(spec=spec, source="file")])
            assert outcome.spec is spec
            return outcome

        yield ask


def put(path, content, mode):
    path.write_bytes(content)
    path.chmod(mode)


@pytest.mark.parametrize("content", [b"", b"\n", b"value\n", b"\0\xff\r\n\n", bytes(range(256)) * 1000])
def test_the_content_is_the_value_byte_for_byte_with_its_last_line_feed(ask, tmp_path, content):
    put(tmp_path / "f", content, 0o644)
    outcome = ask("f")
    assert (outcome.status, outcome.source, outcome.where) == ("found", "file", "f")
    assert outcome.secret.reveal() == content
    assert outcome.warnings == ()


def test_a_path_is_relative_to_the_manifest_absolute_or_in_the_home_folder(ask, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    put(home / "f", b"value", 0o600)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir("/")
    for path in ("home/f", str(home / "f"), "~/f"):
        outcome = ask(path)
        assert outcome.secret.reveal() == b"value"
        assert outcome.where == path


@pytest.mark.parametrize("path", ["no/such", "file/below", "link to nothing"])
def test_a_file_that_is_not_there_is_missing_in_the_guides_words(ask, tmp_path, path):
    put(tmp_path / "file", b"", 0o644)
    (tmp_path / "link to nothing").symlink_to("nothing")
    outcome = ask(path)
    assert (outcome.status, outcome.checked, outcome.secret) == ("missing", (path,), None)
    assert isinstance(outcome.error, SecretNotFoundError)
    assert outcome.error.problem == f"Secret file not found: {path}"


def make_too_large(path):
    path.touch()
    os.truncate(path, 64 * 1024**2 + 1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.mkdir(), "it is a directory"),
        (os.mkfifo, "it is a named pipe"),
        (lambda path: path.symlink_to(path), "its links lead in a circle"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
        (make_too_large, "it is larger than 64.0 MB"),
    ],
    ids=["directory", "fifo", "circle", "device", "too large"],
)
def test_what_cannot_be_read_is_denied_with_the_reason(ask, tmp_path, make, words):
    make(tmp_path / "f")
    outcome = ask("f")
    assert outcome.status == "denied"
    assert isinstance(outcome.error, AccessDeniedError)
    assert outcome.error.problem.startswith("Cannot read secret file f: ")
    assert outcome.error.problem.endswith(words)


def test_a_file_without_the_right_to_read_is_denied(ask, tmp_path, monkeypatch):
    put(tmp_path / "f", b"x", 0)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    with unprivileged():
        outcome = ask("f", folder=".")
    assert outcome.error.problem == "Cannot read secret file f: permission denied"


def test_the_ladder_has_one_rung(tmp_path):
    put(tmp_path / "f", b"value", 0o600)
    with SecretMemory() as memory:
        manifest = Manifest(path=f"{tmp_path}/sindri.yaml", display="sindri.yaml", folder=str(tmp_path))
        environment = Environment(str(tmp_path), memory, shell={})
        source = build(SourceContext(manifest=manifest, environment=environment, memory=memory))
        specs = [FileSpec(name=name, path=name, mount_path="/x") for name in ("f", "no")]
        ladders = source.ladder([Candidate(spec=spec, source="file") for spec in specs])
        assert [[outcome.status for outcome in rungs] for rungs in ladders] == [["found"], ["missing"]]


# --- the warning --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_private_key_of_every_kind_that_others_can_read_is_warned_of(ask, tmp_path, kind):
    put(tmp_path / "key.pem", b"-----BEGIN %sPRIVATE KEY%s\nMC4\n" % (kind.encode(), b"-----"), 0o644)
    assert ask("key.pem").warnings == ("others can read it (mode 0644); run: chmod 600 key.pem",)


@pytest.mark.parametrize(
    ("mode", "warning"),
    [
        (0o600, None),
        (0o400, None),
        (0o700, None),
        (0o640, "others can read it (mode 0640)"),
        (0o604, "others can read it (mode 0604)"),
        (0o666, "others can read it (mode 0666)"),
        (0o620, "others have rights on it (mode 0620)"),
        (0o601, "others have rights on it (mode 0601)"),
    ],
)
def test_any_right_of_others_on_a_private_key_is_warned_of(ask, tmp_path, mode, warning):
    put(tmp_path / "k", KEY, mode)
    assert ask("k").warnings == (() if warning is None else (f"{warning}; run: chmod 600 k",))


def test_a_key_behind_its_certificate_in_one_file_is_a_private_key(ask, tmp_path):
    put(tmp_path / "server.pem", CERTIFICATE + KEY, 0o644)
    assert len(ask("server.pem").warnings) == 1


@pytest.mark.parametrize(
    "content",
    [
        CERTIFICATE,
        CERTIFICATE * 3,
        b"-----BEGIN PUBLIC KEY-----\n",
        b"-----BEGIN OPENSSH PUBLIC KEY-----\nPRIVATE KEY\n",
        b"how to make a -----BEGIN PRIVATE KEY-----\n",
        b"",
        b"-----",
    ],
)
def test_what_is_no_private_key_may_be_read_by_everybody(ask, tmp_path, content):
    put(tmp_path / "f", content, 0o644)
    assert ask("f").warnings == ()


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o644, True), (0o440, True)])
def test_a_file_declared_for_its_owner_alone_is_warned_of_whatever_it_holds(ask, tmp_path, mode, warned):
    put(tmp_path / "f", b"anything", mode)
    assert bool(ask("f", permissions=0o600, permissions_declared=True).warnings) is warned


def test_a_mode_that_was_not_declared_says_nothing_about_the_file(ask, tmp_path):
    put(tmp_path / "f", b"anything", 0o644)
    assert ask("f", permissions=0o600).warnings == ()
    assert ask("f", permissions=0o640, permissions_declared=True).warnings == ()


def test_a_warning_shows_nothing_of_the_file(ask, tmp_path, canary):
    put(tmp_path / "f", KEY + canary.encode(), 0o644)
    outcome = ask("f")
    assert outcome.warnings
    assert canary not in repr(outcome)
