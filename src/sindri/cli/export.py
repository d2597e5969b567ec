"""`sindri secrets export`: print all values for a shell, a file or a CI runner."""

from __future__ import annotations

import os

from sindri.cli.options import add_only_option, add_resolve_options, split_names
from sindri.cli.session import open_secrets, raise_failures, say_notes
from sindri.errors import ResolutionError, UnrepresentableValueError, UsageError
from sindri.files import append_to
from sindri.model import FileSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from typing import Protocol

    from sindri.cli.console import Console
    from sindri.cli.parser import CommandParser
    from sindri.model import Resolution

    class Format(Protocol):
        """What every module of an export format has."""

        def refusal(self, name: str, value: bytes) -> str | None:
            """Return why the value cannot be written, or None."""

        def render(self, items: Sequence[tuple[str, bytes]]) -> bytes:
            """Return the text."""


FORMATS = {
    "shell": "shell",
    "fish": "fish",
    "powershell": "powershell",
    "dotenv": "dotenv",
    "json": "json_string",
    "github": "github_env",
}
"""Name of the format -> module in `formats`."""

DETAILS = """\
shell        eval "$(sindri secrets export)", also safe without the quotes
fish         sindri secrets export --format fish | source
powershell   sindri secrets export --format powershell | Out-String | Invoke-Expression
dotenv       sindri secrets export --format dotenv > FILE
json         one object of name and value
github       in a GitHub workflow: appends to the file that GITHUB_ENV names, prints the masks

Secrets that are files are left out; `sindri run` hands those on."""


def configure(parser: CommandParser) -> None:
    """Add the command's own options."""
    parser.add_argument(
        "--format", choices=sorted(FORMATS), default="shell", help="what to print (default: %(default)s)"
    )
    add_only_option(parser)
    add_resolve_options(parser)


def execute(options: Namespace, console: Console) -> int:
    """Print everything, or nothing when a secret is missing or cannot be written."""
    target = _github_file() if options.format == "github" else ""
    with open_secrets(options, only=split_names(options.only)) as resolution:
        raise_failures(resolution)
        say_notes(resolution, options, console)
        items = _items(resolution, console, is_quiet=options.quiet)
        module = _load_format(FORMATS[options.format])
        _refuse_all_at_once(module, options.format, items)
        if target:
            _hand_to_github(target, items, console)
        else:
            console.data([module.render(items)])
    return 0


def _github_file() -> str:
    path = os.environ.get("GITHUB_ENV")
    if not path:
        raise UsageError(
            "--format github works inside a GitHub workflow: GITHUB_ENV is not set",
            hint="GitHub's runner sets it to the file that following steps read",
        )
    return path


def _items(resolution: Resolution, console: Console, *, is_quiet: bool) -> list[tuple[str, bytes]]:
    items = []
    for outcome in resolution.outcomes:
        if outcome.secret is None:
            continue
        if isinstance(outcome.spec, FileSpec):
            if not is_quiet:
                console.note(f"{outcome.spec.name} is a file and is left out; `sindri run` hands it on")
            continue
        items.append((outcome.spec.name, outcome.secret.reveal()))
    return items


def _load_format(module: str) -> Format:
    import importlib

    loaded: Format = importlib.import_module(f"sindri.formats.{module}")
    return loaded


def _refuse_all_at_once(module: Format, name: str, items: Sequence[tuple[str, bytes]]) -> None:
    refusals = tuple(
        UnrepresentableValueError(f"Cannot export {secret} as {name}: {reason}")
        for secret, value in items
        if (reason := module.refusal(secret, value)) is not None
    )
    if refusals:
        raise ResolutionError(refusals)


def _hand_to_github(path: str, items: Sequence[tuple[str, bytes]], console: Console) -> None:
    from sindri.formats.github_env import render, render_masks

    # Masks first: from the moment a value is in the file, any later step may print it.
    console.data([render_masks(items)])
    append_to(path, render(items))
