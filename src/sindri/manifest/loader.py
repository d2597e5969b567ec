"""The text of a manifest -> `Manifest`, or all of its mistakes at once."""

from __future__ import annotations

from sindri.errors import ManifestError
from sindri.manifest.complaints import Complaints, quote
from sindri.manifest.fields import TOP
from sindri.manifest.provider_keys import OTHER_PARTS
from sindri.manifest.secrets_section import read_secrets
from sindri.manifest.section import is_null, read_values
from sindri.manifest.target_section import TARGET_KEYS, read_provider, warn_target_keys
from sindri.manifest.tree import Pairs, carry, read_tree, type_of
from sindri.model import Manifest

TYPE_CHECKING = False

MAX_BYTES = 1024 * 1024
"""How long a manifest may be."""

_UTF_16_32_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_OWN_KEYS = (*TOP.names, "secrets", *TARGET_KEYS)


def parse_manifest(text: bytes, *, path: str, display: str) -> Manifest:
    """Return the manifest that *text* declares. *path* is absolute, *display* names the file in messages.

    Pure: nothing is read, and nothing that the manifest names is looked for.

    Raises:
        ManifestError: the text cannot be used; `problems` holds every mistake as `FILE:LINE:COLUMN: what`.
    """
    complaints = Complaints(display)
    pairs = _root(text, complaints)
    others = tuple(key for key in pairs.values if key not in TOP.by_key and key != "<<")
    values = read_values(TOP, pairs, complaints, others=others)
    provider = read_provider(pairs, values.get("provider"), complaints)
    secrets, override, backend = read_secrets(pairs.values.get("secrets"), complaints)
    warn_target_keys(pairs, complaints)
    _warn_near_misses(pairs, complaints)
    _warn_name(values.get("name"), pairs, complaints)
    complaints.raise_if_any()
    return Manifest(
        path=path,
        display=display,
        folder=_folder(path),
        name=values.get("name"),
        version=values.get("version"),
        provider=provider,
        secrets=secrets,
        env_override=override,
        backend=backend,
        carried={key: carry(pairs.values[key]) for key in others if key != "secrets"},
        warnings=tuple(sorted(complaints.warnings, key=lambda warning: (warning.line, warning.column))),
    )


def _root(text: bytes, complaints: Complaints) -> Pairs:
    """Return the mapping that a manifest is."""
    display = complaints.file
    if len(text) > MAX_BYTES:
        raise ManifestError(f"Cannot use {display}: it is longer than {MAX_BYTES:,} bytes")
    if text.startswith(_UTF_16_32_MARKS) or text[1:2] == b"\0" or text[:1] == b"\0":
        raise ManifestError(f"Cannot use {display}: it is not UTF-8", hint="save it as UTF-8")
    tree = read_tree(text, complaints)
    if tree is None or is_null(tree):
        raise ManifestError(f"Cannot use {display}: it is empty", hint="`sindri init` writes a commented one")
    if type(tree) is not Pairs:
        what = f"a manifest is a mapping with `secrets`, this is {type_of[type(tree)]}"
        place = f"{display}:{tree.line}:{tree.column}"
        raise ManifestError(f"Cannot use {display}: it is no manifest", problems=(f"{place}: {what}",))
    return tree


def _folder(path: str) -> str:
    from os.path import dirname

    return dirname(path)


def _warn_near_misses(root: Pairs, complaints: Complaints) -> None:
    """Warn of a top-level key that is nearly one of ours: `secret:` would silently declare nothing."""
    for key, scalar in root.keys.items():
        if key in _OWN_KEYS or key in OTHER_PARTS or key == "<<":
            continue
        advice = complaints.advise(key, _OWN_KEYS)
        if advice:
            complaints.warning(scalar, f"{quote(key)} is not read by this program{advice}", about=key)


def _warn_name(name: str | None, root: Pairs, complaints: Complaints) -> None:
    """Warn of a name that targets refuse: they want a DNS label (RFC 1123), as Kubernetes, Fly and Compose do."""
    if name is None:
        return
    label = name.replace("-", "a")
    good = label.isascii() and label.isalnum() and label == label.lower() and not name.startswith("-")
    if not good or name.endswith("-") or len(name) > 63:
        text = "`name` is not accepted by most targets: lower-case letters, digits and `-`, at most 63"
        complaints.warning(root.values["name"], text, about="name")
