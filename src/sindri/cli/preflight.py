"""What `deploy` says about env files before it begins: the guide's preflight check."""

from __future__ import annotations

import os

from sindri.environment import DEFAULT_FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sindri.model import Manifest


def preflight(manifest: Manifest, env_file: str | None) -> list[str]:
    """Return the lines; nothing is read, only looked for."""
    if env_file is not None:
        return [f"Using custom .env file: {env_file}"]
    found = [label for label in DEFAULT_FILES if os.path.exists(os.path.join(manifest.folder, label))]
    if found:
        return [
            f"Found environment files in {manifest.folder}: {', '.join(found)}",
            f"Secrets will be resolved with priority: {' > '.join(('shell env', *found))}",
        ]
    return [
        f"No .env files found in {manifest.folder} (this is OK)",
        "Secrets will be loaded from environment variables, Vault, S3, or other sources",
        "To use .env files, create .env or .env.local in the config directory",
        "Or use --env-file to specify a custom location",
    ]
