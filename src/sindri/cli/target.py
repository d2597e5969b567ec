"""Which target a command is about, and where generated files go."""

from __future__ import annotations

import os

from sindri.providers.base import Choices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from sindri.cli.console import Console
    from sindri.cli.parser import CommandParser
    from sindri.model import Manifest

_DEFAULT = "docker"
_SYNONYMS = {"docker-compose": "docker"}


def add_target_options(parser: CommandParser) -> None:
    """Add what names the target."""
    parser.add_argument("--provider", metavar="PROVIDER", help="the target (default: the manifest's, else docker)")
    parser.add_argument("--output", metavar="DIR", help="put generated files there instead of .sindri/PROVIDER")


def choose_provider(manifest: Manifest, options: Namespace, console: Console) -> str:
    """Return the target's name; that nobody chose one is said."""
    name: str | None = options.provider or manifest.provider
    if name is None:
        console.note(
            f"no provider is named, so this is for {_DEFAULT}; --provider or `deployment.provider` names another"
        )
        name = _DEFAULT
    return _SYNONYMS.get(name, name)


def make_choices(manifest: Manifest, options: Namespace, provider: str) -> Choices:
    """Return where generated files go and what else was chosen."""
    folder = options.output or os.path.join(manifest.folder, ".sindri", provider)
    return Choices(
        folder=os.path.abspath(folder),
        wait=getattr(options, "wait", False),
        keep_volumes=getattr(options, "keep_volumes", False),
    )
