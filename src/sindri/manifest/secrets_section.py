"""`secrets:` -> the declared secrets, in both shapes: a list, or a mapping with `backend` and `secrets`."""

from __future__ import annotations

from sindri.manifest.checks import check_name, default_s3_path
from sindri.manifest.fields import SECRET, SECRETS, STORES
from sindri.manifest.section import NO_HINTS, check_required, is_null, read_values, warn_unused
from sindri.manifest.tree import Items, Pairs, Scalar, type_of
from sindri.model import EnvSpec, FileSpec, StoreSpec, VaultAddress, VaultSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any

    from sindri.manifest.complaints import Complaints
    from sindri.manifest.tree import Tree
    from sindri.model import Backend, Override, SecretSpec

_VAULT_DETAILS = ("vaultKey", "vaultMount", "vaultVersion")
_S3_SPELLINGS = ("s3_path", "s3Path")


def read_secrets(tree: Tree | None, complaints: Complaints) -> tuple[tuple[SecretSpec, ...], Override, Backend | None]:
    """Return the secrets in order, what may override them, and the store; mistakes are noted."""
    if tree is None or is_null(tree):
        return (), "shell", None
    if type(tree) is Items:
        return _read_list(tree, "shell", complaints), "shell", None
    if type(tree) is not Pairs:
        complaints.mistake(tree, "`secrets` must be a list, or a mapping with `backend` and `secrets`; this is text")
        return (), "shell", None
    override: Override = read_values(SECRETS, tree, complaints, others=("backend", "secrets")).get(
        "env_override", "shell"
    )
    backend = None
    if "backend" in tree.values:
        from sindri.manifest.backend_section import read_backend

        backend = read_backend(tree.values["backend"], complaints)
    listed = tree.values.get("secrets")
    if listed is None or is_null(listed):
        return (), override, backend
    if type(listed) is not Items:
        complaints.mistake(listed, f"`secrets.secrets` must be a list, this is {type_of[type(listed)]}")
        return (), override, backend
    return _read_list(listed, override, complaints), override, backend


def _read_list(items: Items, override: Override, complaints: Complaints) -> tuple[SecretSpec, ...]:
    specs = []
    first_lines: dict[str, int] = {}
    for item in items.values:
        if type(item) is not Pairs:
            what = "nothing" if is_null(item) else type_of[type(item)]
            complaints.mistake(item, f"a secret must be a mapping with `name` and `source`, this is {what}")
            continue
        label = _label(item)
        values = read_values(SECRET, item, complaints, label=label)
        name = values.get("name")
        if name is not None:
            if name in first_lines:
                place = item.values["name"]
                complaints.mistake(place, f"the secret {name} stands here again; first: line {first_lines[name]}")
            else:
                first_lines[name] = item.values["name"].line
                _warn_lower_case(name, item, complaints)
        source = values.get("source")
        if source is None:
            check_required(SECRET, item, complaints, "env", label=label)  # `name` and `source` themselves
            continue
        _check_for_source(source, item, values, complaints, label)
        _warn_for_source(item, values, complaints, label, override)
        if not complaints.mistakes:
            specs.append(_spec(item, values))
    return tuple(specs)


def _label(item: Pairs) -> str:
    """Return what stands before the messages of a secret: its name, if that is one."""
    name = item.values.get("name")
    if type(name) is Scalar and name.text and check_name(name.text) is None:
        return f"{name.text}: "
    return ""


def _warn_lower_case(name: str, item: Pairs, complaints: Complaints) -> None:
    if name != name.upper():
        text = f"{name}: names of variables are written in upper case; `{name}` and `{name.upper()}` are two variables"
        complaints.warning(item.values["name"], text)


def _check_for_source(source: str, item: Pairs, values: dict[str, Any], complaints: Complaints, label: str) -> None:
    """Note what is missing, and what contradicts itself."""
    check_required(SECRET, item, complaints, source, label=label, hints=_hints(source, item, values))
    given = item.values
    if "vaultPath" in given and "vaultKey" not in given and source != "vault":
        complaints.mistake(item.keys["vaultPath"], f"{label}`vaultPath` needs `vaultKey`: the key inside of that path")
    fallback = values.get("fallback")
    if fallback is not None and _home(fallback) == _home(source):
        allowed = "`env` or `s3`" if source == "vault" else "`env` or `vault`"
        text = f"{label}`fallback` is `{fallback}`, the secret's own source; allowed: {allowed}"
        complaints.mistake(given["fallback"], text)


def _hints(source: str, item: Pairs, values: dict[str, Any]) -> dict[str, str]:
    """Return the line to paste for a secret in the store that says not where."""
    if source not in STORES or any(key in item.values for key in _S3_SPELLINGS):
        return NO_HINTS
    path = default_s3_path(values.get("name", ""))
    return NO_HINTS if path is None else {"s3_path": f"write `s3_path: {path}`, where a secret of this name is pushed"}


def _warn_for_source(
    item: Pairs, values: dict[str, Any], complaints: Complaints, label: str, override: Override
) -> None:
    """Warn of keys that will not be looked at."""
    source = values["source"]
    given = item.keys
    warn_unused(SECRET, item, complaints, source, label)
    if source == "file":
        return
    idle: list[tuple[str, str]] = []
    if "vaultPath" not in given:
        idle += [(key, "has no effect without `vaultPath`") for key in _VAULT_DETAILS]
    if source != "env":
        idle += _idle_with_home(source, given, values.get("fallback"), override)
    for key, why in idle:
        if key in given:
            complaints.warning(given[key], f"{label}`{key}` {why}")


def _idle_with_home(
    source: str, given: Collection[str], fallback: str | None, override: Override
) -> Iterator[tuple[str, str]]:
    """Yield the keys that are not looked at for a secret in Vault or the store, and why."""
    if fallback == "vault" and "vaultPath" not in given:
        yield "fallback", "is `vault` and cannot be used without `vaultPath`"
    if fallback in STORES and not any(key in given for key in _S3_SPELLINGS):
        yield "fallback", f"is `{fallback}` and cannot be used without `s3_path`"
    if source in STORES and fallback != "vault":
        yield "vaultPath", "has no effect without `fallback: vault`"
    if source == "vault" and fallback not in STORES:
        for key in _S3_SPELLINGS:
            yield key, "has no effect without `fallback: s3`"
    if fallback != "env" and (fallback is not None or override != "all"):
        yield "fromFile", "has no effect without `fallback: env`"


def _home(source: str) -> str:
    return "s3" if source == "store" else source


def _spec(item: Pairs, values: dict[str, Any]) -> SecretSpec:
    """Return the secret. Nothing was wrong with it: what its source needs is there."""
    source = values["source"]
    common = {
        "name": values["name"],
        "line": item.line,
        "column": item.column,
        "required": values.get("required", False),
        "allow_empty": values.get("allow_empty", False),
    }
    if source == "file":
        mode = values.get("permissions")
        return FileSpec(
            **common,
            path=values["path"],
            mount_path=values["mountPath"],
            permissions=0o644 if mode is None else mode,
            permissions_declared=mode is not None,
            owner=values.get("owner"),
        )
    s3_path = values.get("s3_path")
    remote = {
        **common,
        "from_file": values.get("fromFile"),
        "s3_path": None if s3_path is None else s3_path.lstrip("/"),
        "vault": _vault(values) if "vaultPath" in values else None,
    }
    if source == "env":
        return EnvSpec(**remote)
    fallback = values.get("fallback")
    home_class = VaultSpec if source == "vault" else StoreSpec
    return home_class(**remote, fallback=None if fallback is None else _home(fallback))


def _vault(values: dict[str, Any]) -> VaultAddress:
    return VaultAddress(
        path=values["vaultPath"],
        key=values["vaultKey"],
        mount=values.get("vaultMount", "secret"),
        version=values.get("vaultVersion"),
    )
