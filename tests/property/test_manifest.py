"""Manifests made at random: garbage is refused politely, what is good says what was written."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from sindri.errors import ManifestError
from sindri.manifest import parse_manifest
from sindri.model import EnvSpec, FileSpec, Manifest, StoreSpec, VaultSpec

PLACE = re.compile(r"sindri\.yaml:(\d+):(\d+): \S")


def parse(data: bytes) -> Manifest:
    return parse_manifest(data, path="/project/sindri.yaml", display="sindri.yaml")


def assert_refused_politely(data: bytes) -> None:
    """Load, or be refused with complaints whose every place lies in the file (or right behind its end)."""
    try:
        parse(data)
    except ManifestError as error:
        # A line ends as YAML 1.1 has it: beside LF and CR also NEL, LS and PS.
        lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", data.decode("utf-8", "replace"))
        for problem in error.problems:
            place = PLACE.match(problem)
            assert place, problem
            line, column = int(place[1]), int(place[2])
            assert 1 <= line <= len(lines)
            assert 1 <= column <= len(lines[line - 1]) + 2


@given(st.binary(max_size=300))
@example(b"\xff\xfe")
@example(b"a: !<\xff> b")
def test_any_bytes_are_loaded_or_refused(data):
    assert_refused_politely(data)


PIECES = st.sampled_from(
    "secrets:\n|  - |name: |A|source: |env|s3|vault|\n|    |{|}|[|]|, |&a |*a|!!str |! |'|\"|- |? |: |<<: |\t|# x|"
    "---\n|backend: |type: |permissions: |0600|true|null|..|/|${|é|deployment: |providers: |docker: ".split("|")
)


@given(st.lists(PIECES, max_size=40).map("".join))
@example("secrets:\n  - ? [a]\n    : b\n")
def test_any_heap_of_pieces_is_loaded_or_refused(text):
    assert_refused_politely(text.encode())


NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,20}", fullmatch=True)
SEGMENTS = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True).filter(
    lambda segment: not re.fullmatch("con|prn|aux|nul|com[0-9]|lpt[0-9]", segment)
)
PATHS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co"), exclude_characters="$?#/\\."), min_size=1
)


def quoted(text: str) -> str:
    """Return *text* as YAML in single quotes."""
    return "'" + text.replace("'", "''") + "'"


@st.composite
def secrets(draw) -> dict[str, Any]:
    source = draw(st.sampled_from(("env", "file", "vault", "s3")))
    secret: dict[str, Any] = {"name": draw(NAMES), "source": source}
    if draw(st.booleans()):
        secret["required"] = draw(st.booleans())
    if source == "file":
        secret |= {"path": draw(TEXTS), "mountPath": "/" + draw(PATHS), "permissions": draw(st.integers(0, 0o777))}
    if source == "vault":
        secret |= {"vaultPath": draw(PATHS), "vaultKey": draw(TEXTS)}
    if source == "s3":
        secret["s3_path"] = draw(PATHS)
    if source == "env" and draw(st.booleans()):
        secret["fromFile"] = draw(TEXTS)
    return secret


def write(declared: list[dict[str, Any]], *, flow: bool, long_form: bool) -> str:
    """Return a manifest of *declared* in one of the shapes there are."""
    lines = ["secrets:"]
    if long_form:
        lines.append(" secrets:")
    for secret in declared:
        pairs = []
        for key, value in secret.items():
            if isinstance(value, bool):
                pairs.append(f"{key}: {str(value).lower()}")
            elif isinstance(value, int):
                pairs.append(f"{key}: {value:04o}")
            else:
                pairs.append(f"{key}: {quoted(value)}")
        lines.append(f"  - {{{', '.join(pairs)}}}" if flow else "  - " + "\n    ".join(pairs))
    return "\n".join(lines) + "\n"


@given(
    st.lists(secrets(), min_size=1, max_size=6, unique_by=lambda secret: secret["name"]), st.booleans(), st.booleans()
)
def test_a_manifest_says_what_was_written(declared, flow, long_form):
    manifest = parse(write(declared, flow=flow, long_form=long_form).encode())
    assert len(manifest.secrets) == len(declared)
    for spec, secret in zip(manifest.secrets, declared, strict=True):
        assert (spec.name, spec.required) == (secret["name"], secret.get("required", False))
        if isinstance(spec, EnvSpec):
            assert spec.from_file == secret.get("fromFile")
        elif isinstance(spec, FileSpec):
            found = (spec.path, spec.mount_path, spec.permissions)
            assert found == (secret["path"], secret["mountPath"], secret["permissions"])
        elif isinstance(spec, VaultSpec):
            assert spec.vault is not None
            assert (spec.vault.path, spec.vault.key) == (secret["vaultPath"], secret["vaultKey"])
        else:
            assert isinstance(spec, StoreSpec)
            assert spec.s3_path == secret["s3_path"]


@given(st.lists(secrets(), min_size=2, max_size=5, unique_by=lambda secret: secret["name"]), st.data())
def test_a_repeated_name_is_refused_at_its_second_place(declared, data):
    first = data.draw(st.integers(0, len(declared) - 1))
    text = write([*declared, declared[first]], flow=True, long_form=False)
    try:
        parse(text.encode())
    except ManifestError as error:
        (problem,) = error.problems
        assert problem.startswith(f"sindri.yaml:{len(declared) + 2}:")
        assert problem.endswith(f"first: line {first + 2}")
    else:
        raise AssertionError("a name that stands twice was loaded")
