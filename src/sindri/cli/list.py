"""`sindri secrets list`: show what is declared, without resolving anything."""

from __future__ import annotations

from sindri.cli.options import add_json_option, add_manifest_options
from sindri.cli.session import manifest_of
from sindri.model import EnvSpec, FileSpec, StoreSpec, VaultSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from sindri.cli.console import Console
    from sindri.cli.parser import CommandParser
    from sindri.model import SecretSpec

_GROUPS = (
    (EnvSpec, "Environment Variables (source: env)"),
    (FileSpec, "Files (source: file)"),
    (VaultSpec, "Vault (source: vault)"),
    (StoreSpec, "S3 (source: s3)"),
)


def configure(parser: CommandParser) -> None:
    """Add the command's own options."""
    add_manifest_options(parser)
    add_json_option(parser)


def execute(options: Namespace, console: Console) -> int:
    """Print the groups that are not empty, each in manifest order."""
    manifest = manifest_of(options)
    if options.json:
        console.json({"manifest": manifest.display, "secrets": [_as_json(spec) for spec in manifest.secrets]})
        return 0
    console.line(f"Configured secrets in {manifest.display}:")
    for kind, title in _GROUPS:
        specs = [spec for spec in manifest.secrets if isinstance(spec, kind)]
        if specs:
            console.line()
            console.line(f"{title}:")
            for spec in specs:
                console.line(f"  - {spec.name}{_place(spec)}{' (required)' if spec.required else ''}")
    if not manifest.secrets:
        console.line()
        console.line("No secrets are declared")
    return 0


def _place(spec: SecretSpec) -> str:
    if isinstance(spec, FileSpec):
        return f" -> {spec.mount_path} ({spec.permissions:04o})"
    if isinstance(spec, VaultSpec) and spec.vault is not None:
        return f" <- {spec.vault.path}:{spec.vault.key}"
    if isinstance(spec, StoreSpec):
        return f" <- {spec.s3_path}"
    return ""


def _as_json(spec: SecretSpec) -> dict[str, object]:
    entry: dict[str, object] = {"name": spec.name, "source": spec.source, "required": spec.required, "line": spec.line}
    if isinstance(spec, FileSpec):
        entry |= {"path": spec.path, "mount_path": spec.mount_path, "permissions": f"{spec.permissions:04o}"}
        return entry
    if getattr(spec, "from_file", None) is not None:
        entry["from_file"] = getattr(spec, "from_file", None)
    vault = getattr(spec, "vault", None)
    if vault is not None:
        entry["vault"] = {"path": vault.path, "key": vault.key, "mount": vault.mount, "version": vault.version}
    for key in ("s3_path", "fallback"):
        if getattr(spec, key, None) is not None:
            entry[key] = getattr(spec, key)
    return entry
