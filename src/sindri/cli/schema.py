"""`sindri schema`: print the JSON Schema of sindri.yaml."""

from __future__ import annotations

from sindri.manifest import json_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from sindri.cli.console import Console
    from sindri.cli.parser import CommandParser

DETAILS = """\
Editors complete and check sindri.yaml with it. For one that speaks the YAML language server:
  sindri schema > sindri.schema.json
and as the first line of sindri.yaml:
  # yaml-language-server: $schema=./sindri.schema.json"""


def configure(parser: CommandParser) -> None:
    """Add nothing: the command has no options of its own."""


def execute(options: Namespace, console: Console) -> int:  # noqa: ARG001 -- every command is called alike
    """Print it."""
    console.json(json_schema())
    return 0
