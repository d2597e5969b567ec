"""`secrets.backend:` -> where the encrypted store lies and how it is read."""

from __future__ import annotations

from sindri.manifest.fields import BACKEND, SUBSECTIONS
from sindri.manifest.section import as_pairs, check_required, read_values, warn_unused
from sindri.model import Backend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sindri.manifest.complaints import Complaints
    from sindri.manifest.fields import Section
    from sindri.manifest.tree import Pairs, Tree

# Field of the table -> field of `Backend`, where the two differ: sections are flat there.
_RENAMED = {
    "cache": {
        "enabled": "cache_enabled",
        "ttl_seconds": "cache_ttl_seconds",
        "path": "cache_path",
        "max_stale_seconds": "cache_max_stale_seconds",
    },
    "trust": {"store": "trust_store", "writer": "trust_writer", "sequence": "trust_sequence"},
    "encryption": {},
}


def read_backend(tree: Tree, complaints: Complaints) -> Backend | None:
    """Return the store that is declared, None when there is none; mistakes are noted."""
    pairs = as_pairs(tree, "`backend`", complaints)
    if pairs is None:
        return None
    values = read_values(BACKEND, pairs, complaints, others=tuple(SUBSECTIONS))
    kind = values.get("type")
    check_required(BACKEND, pairs, complaints, kind or "")
    if "type" not in pairs.values:
        complaints.mistake(pairs, "`backend` needs `type`: `s3` for a bucket, `local` for a folder")
    if kind is not None:
        warn_unused(BACKEND, pairs, complaints, kind)
    for key, section in SUBSECTIONS.items():
        inner = as_pairs(pairs.values.get(key), section.title, complaints)
        if inner is not None:
            values |= _read_inner(key, section, inner, complaints)
    if complaints.mistakes:
        return None
    if kind == "local":
        values["prefix"] = ""  # the paths of a folder begin at the folder
    return Backend(**values)


def _read_inner(key: str, section: Section, pairs: Pairs, complaints: Complaints) -> dict[str, Any]:
    values = read_values(section, pairs, complaints)
    decider = values.get(section.by, "") if section.by else ""
    check_required(section, pairs, complaints, decider)
    renamed = _RENAMED[key]
    return {renamed.get(name, name): value for name, value in values.items()}
