"""Reads one mapping by its section of the field table, and says everything that is wrong with it."""

from __future__ import annotations

from sindri.manifest.complaints import Mistake, listing, quote
from sindri.manifest.tree import Pairs, Scalar, type_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from sindri.manifest.complaints import Complaints
    from sindri.manifest.fields import Field, Section
    from sindri.manifest.tree import Tree

NO_HINTS: dict[str, str] = {}
NULLS = frozenset(("", "~", "null", "Null", "NULL"))


def is_null(tree: Tree) -> bool:
    """Tell whether a key was written without a value: `cache:` with all its lines commented out."""
    return type(tree) is Scalar and tree.plain and tree.text in NULLS


def as_pairs(tree: Tree | None, title: str, complaints: Complaints) -> Pairs | None:
    """Return *tree* if it is a mapping, None when there is none; anything else is a mistake."""
    if tree is None or is_null(tree):
        return None
    if type(tree) is Pairs:
        return tree
    complaints.mistake(tree, f"{title} must be a mapping, this is {type_of[type(tree)]}")
    return None


def read_values(
    section: Section, pairs: Pairs, complaints: Complaints, *, label: str = "", others: Collection[str] = ()
) -> dict[str, Any]:
    """Return field name -> value for what *pairs* says rightly; the rest is noted as mistakes.

    *label* stands before each message. Keys in *others* are left to the caller.
    """
    values: dict[str, Any] = {}
    by_key = section.by_key
    for key, tree in pairs.values.items():
        field = by_key.get(key)
        if field is None:
            if key not in others:
                complaints.mistake(pairs.keys[key], label + _unknown(key, section, pairs, complaints, others))
            continue
        if type(tree) is not Scalar:
            complaints.mistake(tree, f"{label}`{key}` must be {field.kind.title}, this is {type_of[type(tree)]}")
            continue
        try:
            value = field.kind.read(tree, field.choices)
        except Mistake as mistake:
            advice = complaints.advise(tree.text, field.choices) if field.choices else ""
            complaints.mistake(tree, f"{label}`{key}` {mistake}{advice}")
            continue
        if field.name in values and values[field.name] != value:
            first = next(spelling for spelling in pairs.keys if by_key.get(spelling) is field)
            complaints.mistake(pairs.keys[key], f"{label}`{key}` and `{first}` are the same key and differ: keep one")
            continue
        values[field.name] = value
    return values


def check_required(  # what is read, by what, for whom, and how it is said
    section: Section,
    pairs: Pairs,
    complaints: Complaints,
    decider: str,
    *,
    label: str = "",
    hints: Mapping[str, str] = NO_HINTS,
) -> None:
    """Note each key that is missing for *decider*, the value of the section's deciding key.

    *hints* says for some keys what to write; the others are described as in the table.
    """
    for field in section.required.get(decider, ()):
        if field.name not in pairs.values and not any(key in pairs.values for key in field.aliases):
            always = not section.by or field.required_for == section.by_key[section.by].choices
            who = section.title if always else f"`{section.by}: {decider}`"
            hint = hints.get(field.name) or _what_it_is(field)
            complaints.mistake(pairs, f"{label}{who} needs `{field.name}`: {hint}")


def warn_unused(section: Section, pairs: Pairs, complaints: Complaints, decider: str, label: str = "") -> None:
    """Warn of each key that means nothing for *decider*."""
    for key, scalar in pairs.keys.items():
        field = section.by_key.get(key)
        if field is not None and field.used_by and decider not in field.used_by:
            complaints.warning(scalar, f"{label}`{key}` has no effect with `{section.by}: {decider}`")


def _unknown(key: str, section: Section, pairs: Pairs, complaints: Complaints, others: Collection[str]) -> str:
    if key == "<<":
        return "merge keys (`<<`) are not part of YAML 1.2: write the keys out, or use an alias for a whole value"
    decider = pairs.values.get(section.by)
    chosen = decider.text if type(decider) is Scalar else ""
    fitting = [
        field.name
        for field in section.fields
        if not field.used_by or chosen in field.used_by or chosen not in section.by_key[section.by].choices
    ]
    advice = complaints.advise(key, (*section.by_key, *others))
    return f"{quote(key)} is no key of {section.title}; allowed: {listing((*fitting, *others))}{advice}"


def _what_it_is(field: Field) -> str:
    if field.choices:
        return listing(field.choices)
    sentence = field.description.partition(". ")[0].rstrip(".")
    return sentence[0].lower() + sentence[1:] if sentence[1:2].islower() or sentence[1:2] == " " else sentence
