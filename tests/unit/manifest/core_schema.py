"""A reader of YAML's core schema (YAML 1.2.2, chapter 10.3), for showing manifests to a JSON Schema validator."""

from __future__ import annotations

import re
from typing import Any

import yaml

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: value for text, value in (("true", True), ("false", False)) for word in (text, text.title(), text.upper())
}


def read(text: bytes) -> Any:
    """Return the document in *text* as JSON values. A key that stands twice, tags and anchors are not looked at."""
    return _value(yaml.compose(text, Loader=yaml.SafeLoader))


def _value(node: yaml.Node | None) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {_key(key): _value(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    assert isinstance(node, yaml.ScalarNode)
    text = node.value
    if not _plain(node) or text in _CONSTANTS:
        return _CONSTANTS[text] if _plain(node) else text
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _key(node: yaml.Node) -> str:
    return str(node.value if isinstance(node, yaml.ScalarNode) else _value(node))


def _plain(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None
