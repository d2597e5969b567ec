"""`provider`, `deployment`, `providers` and `packer`: which target is meant, and a warning for each unknown key."""

from __future__ import annotations

from sindri.manifest.complaints import listing, quote
from sindri.manifest.fields import FOREIGN_PROVIDERS, PROVIDER_SYNONYMS, PROVIDERS, TOP
from sindri.manifest.section import as_pairs, read_values
from sindri.manifest.tree import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sindri.manifest.complaints import Complaints
    from sindri.manifest.provider_keys import Known
    from sindri.manifest.tree import Tree

TARGET_KEYS = ("deployment", "providers", "packer")
"""The top-level keys whose own keys are checked, by warnings only."""

_LOCAL_CLUSTERS = "k8s"


def read_provider(root: Pairs, top_value: str | None, complaints: Complaints) -> str | None:
    """Return the target's name, `docker` for `docker-compose`; *top_value* is the top-level `provider`."""
    deployment = as_pairs(root.values.get("deployment"), "`deployment`", complaints)
    inner_value = None
    if deployment is not None and "provider" in deployment.values:
        inner_value = _inner_provider(deployment, complaints)
    chosen = None
    for value, where in ((inner_value, deployment), (top_value, root)):
        if value is None or where is None:
            continue
        name = PROVIDER_SYNONYMS.get(value, value)
        place = where.values["provider"]
        if chosen is not None and name != chosen:
            text = f"`provider` is {quote(value)}, `deployment.provider` is {quote(chosen)}: give one, or the same"
            complaints.mistake(place, text)
        elif chosen is None:
            chosen = name
            _warn_provider(value, place, complaints)
    return chosen


def _inner_provider(deployment: Pairs, complaints: Complaints) -> str | None:
    only = Pairs(deployment.line, deployment.column)
    only.keys["provider"] = deployment.keys["provider"]
    only.values["provider"] = deployment.values["provider"]
    return read_values(TOP, only, complaints, label="`deployment`: ").get("provider")


def _warn_provider(name: str, place: Tree, complaints: Complaints) -> None:
    if name in FOREIGN_PROVIDERS:
        text = f"`{name}` is a target of other programs: its settings are kept, nothing is delivered there"
        complaints.warning(place, text, about="provider")
    elif name not in PROVIDERS:
        known = [provider for provider in PROVIDERS if provider not in FOREIGN_PROVIDERS]
        text = f"{quote(name)} is no target that this program knows; known: {listing(known)}"
        complaints.warning(place, text + complaints.advise(name, known), about="provider")


def warn_target_keys(root: Pairs, complaints: Complaints) -> None:
    """Warn of each key of `deployment`, `providers.*` and `packer` that is in no list."""
    sections = {key: root.values.get(key) for key in TARGET_KEYS}
    if not any(sections.values()):
        return
    from sindri.manifest.provider_keys import DEPLOYMENT, PACKER
    from sindri.manifest.provider_keys import PROVIDERS as PROVIDER_BLOCKS

    known = {"deployment": DEPLOYMENT, "providers": PROVIDER_BLOCKS, "packer": PACKER}
    for key, tree in sections.items():
        # `deployment` was checked where its provider was read.
        if key == "deployment":
            pairs = tree if type(tree) is Pairs else None
        else:
            pairs = as_pairs(tree, f"`{key}`", complaints)
        if pairs is None:
            continue
        _warn_keys(pairs, known[key], key, complaints)
        if key == "providers":
            _check_blocks(pairs, complaints)


def _check_blocks(providers: Pairs, complaints: Complaints) -> None:
    for name, tree in providers.values.items():
        as_pairs(tree, f"`providers.{name}`" if name in PROVIDERS else "a target's block", complaints)
        if name == _LOCAL_CLUSTERS:
            text = "`providers.k8s` is kept, but this program makes no local clusters"
            complaints.warning(providers.keys[name], text, about="providers.k8s")


def _warn_keys(pairs: Pairs, known: Known, path: str, complaints: Complaints) -> None:
    for key, tree in pairs.values.items():
        if key not in known:
            text = f"{quote(key)} is no key of `{path}` that this program knows{complaints.advise(key, known)}"
            if key == "<<":
                text = f"merge keys (`<<`) are not part of YAML 1.2: this one in `{path}` is not applied"
            complaints.warning(pairs.keys[key], text, about=f"{path}.{key}")
            continue
        inner = known[key]
        if inner is not None and type(tree) is Pairs:
            _warn_keys(tree, inner, f"{path}.{key}", complaints)
