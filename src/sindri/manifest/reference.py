"""The reference of all keys of `sindri.yaml` as Markdown, made from the table of fields."""

from __future__ import annotations

from sindri.manifest import fields
from sindri.manifest.complaints import listing
from sindri.manifest.loader import MAX_BYTES
from sindri.manifest.provider_keys import DEPLOYMENT, PACKER, PROVIDERS
from sindri.manifest.tree import MAX_ALIASED_NODES, MAX_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sindri.manifest.fields import Field, Section
    from sindri.manifest.provider_keys import Known

_INTRODUCTION = f"""\
# sindri.yaml: all keys

<!-- Generated from the table of fields in src/sindri/manifest/fields.py. Edits here are lost. -->

The manifest is one YAML document in UTF-8, at most {MAX_BYTES:,} bytes long. Without `--config` it is looked for in the
current folder and then in its parents, up to the folder that holds `.git` or the home folder. `sindri schema` prints
its JSON Schema, with which editors complete and check it.

How YAML is read here:

- Values are read by the key they belong to. `required: true` is a boolean, `permissions: 0600` is a mode,
  `env_override: off` is a word. Booleans are `true` and `false` (also `True`, `TRUE`, ...), without quotes; `yes`,
  `no`, `on` and `off` are refused with a hint.
- A key stands once in its mapping. Anchors and aliases work, as long as lists and mappings nest at most {MAX_DEPTH}
  deep and all aliases together stand for at most {MAX_ALIASED_NODES:,} further nodes. Merge keys (`<<`) and tags other
  than YAML's own are refused.
- A key whose value is missing is a mistake. A whole block may be empty: `secrets:`, `backend:`, `cache:`, ...
- All mistakes are reported together, each as `FILE:LINE:COLUMN`. Warnings are shown by `sindri secrets validate`.
- Top-level keys of other parts of Sindri (`extensions`, ...) are kept and not judged. In `deployment`, `providers` and
  `packer` a key that is in none of the lists below is a warning.
"""

_LONG_FORM = """\
`secrets:` is a list of secrets, or a mapping with these keys:
"""


def render_reference() -> str:
    """Return the page. It ends with a newline."""
    parts = [
        _INTRODUCTION,
        _table("Top level", fields.TOP, extra=_TOP_EXTRA),
        _table("`secrets`", fields.SECRETS, lead=_LONG_FORM, extra=_SECRETS_EXTRA),
        _table("A secret", fields.SECRET),
        _table("`secrets.backend`", fields.BACKEND, extra=_BACKEND_EXTRA),
        *(_table(f"`secrets.backend.{key}`", section) for key, section in fields.SUBSECTIONS.items()),
        "## Known keys of targets\n",
        *_known("deployment", DEPLOYMENT),
        *(line for name, known in PROVIDERS.items() for line in _known(f"providers.{name}", known)),
        *_known("packer", PACKER),
    ]
    return "\n".join(parts)


_TOP_EXTRA = (
    ("secrets", "a list, or a mapping", "", "The secrets; see below."),
    ("deployment", "a mapping", "", "Where and how the project is deployed. `provider` in it names the target."),
    ("providers", "a mapping", "", "Settings of each target, by its name."),
    ("packer", "a mapping", "", "How `sindri vm build` makes an image."),
)
_SECRETS_EXTRA = (
    ("backend", "a mapping", "", "The encrypted store; see below."),
    ("secrets", "a list", "", "The secrets."),
)
_BACKEND_EXTRA = tuple((key, "a mapping", "", section.description) for key, section in fields.SUBSECTIONS.items())


def _table(title: str, section: Section, *, lead: str = "", extra: tuple[tuple[str, str, str, str], ...] = ()) -> str:
    lines = [f"## {title}", "", lead or f"{section.description}\n"]
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    for field in section.fields:
        lines.append(f"| {_keys(field)} | {_value(field)} | {_default(field)} | {_meaning(section, field)} |")
    lines += [f"| `{key}` | {value} | {default} | {meaning} |" for key, value, default, meaning in extra]
    return "\n".join([*lines, ""])


def _keys(field: Field) -> str:
    return ", ".join(f"`{key}`" for key in (field.name, *field.aliases))


def _value(field: Field) -> str:
    return listing(field.choices) if field.choices else field.kind.title


def _default(field: Field) -> str:
    if field.default is None or field.default == "":
        return ""
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _meaning(section: Section, field: Field) -> str:
    notes = [field.description]
    if (section.by and field.required_for == section.by_key[section.by].choices) or "" in field.required_for:
        notes.append("Required.")
    elif field.required_for:
        notes.append(f"Required with `{section.by}` {listing(field.required_for)}.")
    if field.used_by and field.used_by != field.required_for:
        notes.append(f"Used with `{section.by}` {listing(field.used_by)}.")
    return " ".join(notes).replace("|", "\\|")


def _known(path: str, known: Known | None) -> list[str]:
    """Return a line for a block and one for each block inside of it."""
    if known is None:
        return [f"- `{path}`: kept as it is\n"]
    keys = ", ".join(f"`{key}`" for key in known)
    lines = [f"- `{path}`: {keys}\n"]
    for key, inner in known.items():
        if inner is not None:
            lines += _known(f"{path}.{key}", inner)
    return lines
