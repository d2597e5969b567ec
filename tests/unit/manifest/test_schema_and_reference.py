"""What is made from the table of fields, and that the table holds together."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest

from sindri import manifest
from sindri.manifest import fields, json_schema, render_reference

ROOT = Path(__file__).parents[3]
SECTIONS = (fields.TOP, fields.SECRET, fields.SECRETS, fields.BACKEND, *fields.SUBSECTIONS.values())


def test_the_schema_is_a_schema_and_plain_json():
    schema = json_schema()
    assert jsonschema_rs.meta.is_valid(schema)
    assert json.loads(json.dumps(schema)) == schema


def test_the_schema_names_no_host():
    assert json_schema()["$id"].startswith("urn:")


def test_every_field_is_described_in_schema_and_reference():
    text = json.dumps(json_schema())
    page = render_reference()
    for section in SECTIONS:
        for key, field in section.by_key.items():
            assert f'"{key}"' in text
            assert f"`{key}`" in page
            assert field.description in page
            assert json.dumps(field.description)[1:-1] in text


def test_every_default_of_the_table_is_one_the_field_takes():
    from sindri.manifest.tree import Scalar

    for section in SECTIONS:
        for field in section.fields:
            if field.default is not None:
                text = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
                field.kind.read(
                    Scalar(text, 1, 1, plain=bool(text) and not isinstance(field.default, str)), field.choices
                )


def test_the_defaults_of_the_table_are_those_of_the_model():
    parsed = manifest.parse_manifest(
        b"secrets: {backend: {type: s3, bucket: b}}", path="/p/sindri.yaml", display="sindri.yaml"
    )
    backend = parsed.backend
    assert backend is not None
    found = {
        "algorithm": backend.algorithm,
        "key_source": backend.key_source,
        "key_env": backend.key_env,
        "enabled": backend.cache_enabled,
        "ttl_seconds": backend.cache_ttl_seconds,
        "path": backend.cache_path,
        "max_stale_seconds": backend.cache_max_stale_seconds,
        "prefix": backend.prefix,
    }
    declared = {
        field.name: field.default
        for section in (fields.BACKEND, fields.ENCRYPTION, fields.CACHE)
        for field in section.fields
        if field.default is not None
    }
    assert found == declared


def test_the_page_in_the_docs_is_the_generated_one():
    assert (ROOT / "docs/manifest.md").read_text() == render_reference()


def test_the_room_shows_its_names_and_no_others():
    names = vars(manifest)["__all__"]
    assert set(names) <= set(dir(manifest))
    assert all(callable(getattr(manifest, name)) for name in names)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(manifest, "nothing")  # noqa: B009
