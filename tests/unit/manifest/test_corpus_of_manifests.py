"""Loader and JSON Schema over all manifests there are: ours, good and bad, and the ones of other people."""

from __future__ import annotations

from pathlib import Path

import jsonschema_rs
import pytest

from sindri.errors import ManifestError
from sindri.manifest import json_schema, load_manifest, parse_manifest
from tests.needs import missing
from tests.unit.manifest import core_schema

ROOT = Path(__file__).parents[3]
OURS = ROOT / "tests/manifests"
GOOD = sorted((OURS / "good").glob("*.yaml"))
BAD = sorted((OURS / "bad").glob("*.yaml"))
CORPUS = ROOT.parent / "shared/corpus"
FOREIGN = sorted(CORPUS.glob("sindri-yaml*/*.yaml"))

# Manifests that the loader refuses for what JSON Schema cannot say. Each is shown to pass the schema.
ONLY_THE_LOADER = {
    "both-spellings": "two spellings of a key with different values",
    "complex-key": "a key that is no text: JSON has no such thing",
    "duplicate-key": "a key that stands twice: JSON objects have each key once",
    "duplicate-name": "two secrets of one name",
    "mode-digits": "the digits of an unquoted mode are octal: a number has no digits",
    "provider-twice": "two keys that must agree",
    "tags": "tags: JSON has none",
}


def parse(path: Path):
    return parse_manifest(path.read_bytes(), path="/project/sindri.yaml", display="sindri.yaml")


@pytest.fixture(scope="module")
def schema():
    return jsonschema_rs.validator_for(json_schema())


def schema_takes(schema, path: Path) -> bool:
    return schema.is_valid(core_schema.read(path.read_bytes()))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_manifest_loads_and_fits_the_schema(schema, path):
    parse(path)
    assert list(schema.iter_errors(core_schema.read(path.read_bytes()))) == []


@pytest.mark.parametrize("path", FOREIGN or [None], ids=lambda path: path.name if path else "corpus")
def test_a_manifest_of_somebody_else_loads_and_fits_the_schema(schema, path):
    if path is None:
        missing("the folder of other people's manifests")
    manifest = load_manifest(path)
    assert manifest.name
    assert manifest.provider
    assert list(schema.iter_errors(core_schema.read(path.read_bytes()))) == []


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_manifest_is_refused_with_the_complaints_that_stand_beside_it(path):
    with pytest.raises(ManifestError) as caught:
        parse(path)
    assert str(caught.value) + "\n" == path.with_suffix(".expected").read_text()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_the_schema_refuses_what_the_loader_refuses_but_for_the_named_rules(schema, path):
    assert schema_takes(schema, path) == (path.stem in ONLY_THE_LOADER)


def list_items():
    """Yield each item of each bad list by itself: in a whole file one mistake hides the others."""
    for path in BAD:
        secrets = core_schema.read(path.read_bytes()).get("secrets")
        lines = path.read_text().splitlines()
        if isinstance(secrets, list) and len(secrets) == len(lines) - 1 and path.stem not in ONLY_THE_LOADER:
            for number, line in enumerate(lines[1:], 2):
                yield pytest.param(f"secrets:\n{line}\n".encode(), id=f"{path.stem}:{number}")


@pytest.mark.parametrize("text", list(list_items()))
def test_each_bad_secret_by_itself_is_refused_by_both(schema, text):
    with pytest.raises(ManifestError):
        parse_manifest(text, path="/project/sindri.yaml", display="sindri.yaml")
    assert not schema.is_valid(core_schema.read(text))


def test_every_rule_that_only_the_loader_has_is_shown_by_a_manifest():
    assert set(ONLY_THE_LOADER) <= {path.stem for path in BAD}


def test_the_warnings_of_a_manifest_are_all_said_in_order():
    manifest = parse(OURS / "good/warnings.yaml")
    assert "".join(f"{warning}\n" for warning in manifest.warnings) == (OURS / "good/warnings.expected").read_text()


def test_a_warning_about_a_targets_key_says_which_key_in_full():
    about = {warning.about for warning in parse(OURS / "good/warnings.yaml").warnings}
    assert {"providers.docker.netwrok", "deployment.volumes.workspace.sise", "packer.cluod"} <= about
