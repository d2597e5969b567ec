"""The JSON Schema of `sindri.yaml`, made from the table of fields, for editors and for `sindri schema`.

Draft 7: the one that the YAML extensions of editors understand whole. What it cannot say (a name that stands twice, two
spellings of a key that differ, ...) only the loader says; a test lists those rules by name.
"""

from __future__ import annotations

from sindri.manifest import fields
from sindri.manifest.provider_keys import DEPLOYMENT, PACKER, PROVIDERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sindri.manifest.fields import Field, Section
    from sindri.manifest.provider_keys import Known

SCHEMA_ID = "urn:sindri:manifest"
"""A name, not an address: nothing is fetched from anywhere."""


def json_schema() -> dict[str, Any]:
    """Return the schema as plain JSON values."""
    provider = _field(fields.TOP.by_key["provider"])
    top = {field.name: _field(field) for field in fields.TOP.fields}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": SCHEMA_ID,
        "title": "sindri.yaml",
        "description": fields.TOP.description,
        "type": "object",
        "properties": {
            **top,
            "secrets": {
                "description": "The secrets: a list, or a mapping with `backend` and `secrets`.",
                "anyOf": [_secret_list(), _long_form(), {"type": "null"}],
            },
            "deployment": {
                **_known("Where and how the project is deployed.", DEPLOYMENT),
                "type": ["object", "null"],
                "properties": {**_known("", DEPLOYMENT)["properties"], "provider": provider},
            },
            "providers": _providers(),
            "packer": {**_known("How `sindri vm build` makes an image.", PACKER), "type": ["object", "null"]},
            "<<": False,
        },
        "definitions": {"secret": _secret(), "backend": _backend()},
    }


def _field(field: Field) -> dict[str, Any]:
    schema = {"description": field.description, **field.kind.schema}
    if field.choices:
        schema["enum"] = list(field.choices)
    if field.default is not None:
        schema["default"] = field.default
    return schema


def _section(section: Section) -> dict[str, Any]:
    always = [field.name for field in section.fields if _always_required(section, field)]
    return {
        "title": section.title.strip("`"),
        "description": section.description,
        "type": "object",
        "additionalProperties": False,
        "required": always,
        "properties": {key: _field(field) for key, field in section.by_key.items()},
    }


def _always_required(section: Section, field: Field) -> bool:
    if not field.required_for:
        return False
    return not section.by or field.required_for == section.by_key[section.by].choices


def _conditions(section: Section) -> list[dict[str, Any]]:
    """Return what each value of the deciding key asks for."""
    conditions = []
    for decider in section.by_key[section.by].choices:
        needed = [field for field in section.required.get(decider, ()) if not _always_required(section, field)]
        if needed:
            spellings = [[{"required": [key]} for key in (field.name, *field.aliases)] for field in needed]
            then = [either[0] if len(either) == 1 else {"anyOf": either} for either in spellings]
            conditions.append(_when(section.by, (decider,), {"allOf": then}))
    return conditions


def _when(key: str, values: tuple[str, ...], then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {key: {"enum": list(values)}}, "required": [key]}, "then": then}


def _secret() -> dict[str, Any]:
    not_the_store = {"properties": {"fallback": {"enum": ["env", "vault"]}}}
    not_vault = {"properties": {"fallback": {"enum": ["env", *fields.STORES]}}}
    return {
        **_section(fields.SECRET),
        "dependencies": {"vaultPath": ["vaultKey"]},
        "allOf": [
            *_conditions(fields.SECRET),
            _when("source", fields.STORES, not_the_store),
            _when("source", ("vault",), not_vault),
        ],
    }


def _secret_list() -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": "#/definitions/secret"}}


def _long_form() -> dict[str, Any]:
    long_form = _section(fields.SECRETS)
    long_form["properties"] |= {
        "backend": {"anyOf": [{"$ref": "#/definitions/backend"}, {"type": "null"}]},
        "secrets": {"anyOf": [_secret_list(), {"type": "null"}]},
    }
    return long_form


def _backend() -> dict[str, Any]:
    backend = _section(fields.BACKEND)
    for key, section in fields.SUBSECTIONS.items():
        inner = _section(section)
        if section.by:
            inner["allOf"] = _conditions(section)
        backend["properties"][key] = {"anyOf": [inner, {"type": "null"}]}
    backend["allOf"] = _conditions(fields.BACKEND)
    return backend


def _providers() -> dict[str, Any]:
    blocks = {name: _known("", known or {}) for name, known in PROVIDERS.items()}
    return {
        "description": "Settings of each target, by its name.",
        "type": ["object", "null"],
        "properties": {name: {**block, "type": ["object", "null"]} for name, block in blocks.items()},
        "additionalProperties": {"type": ["object", "null"]},
    }


def _known(description: str, known: Known) -> dict[str, Any]:
    """Return a block whose keys an editor can offer, and that forbids none: an unknown key is a warning."""
    properties = {key: True if inner is None else _known("", inner) for key, inner in known.items()}
    return {"description": description, "properties": properties} if description else {"properties": properties}
