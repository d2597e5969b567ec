"""`sindri secrets get NAME`: print one value, byte for byte."""

from __future__ import annotations

from sindri.cli.console import STDOUT, is_terminal
from sindri.cli.options import add_json_option, add_resolve_options
from sindri.cli.session import open_secrets, raise_failures, say_notes
from sindri.errors import SecretNotFoundError, UnreachableError
from sindri.files import LINE_FEED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from sindri.cli.console import Console
    from sindri.cli.parser import CommandParser

DETAILS = """\
The value is printed exactly as it is; a line feed is added only on a terminal.
With --json, a value that is not UTF-8 text appears as base64 under "value_base64"."""


def configure(parser: CommandParser) -> None:
    """Add the command's own options."""
    parser.add_argument("name", metavar="NAME", help="the declared name")
    add_resolve_options(parser)
    add_json_option(parser)


def execute(options: Namespace, console: Console) -> int:
    """Print the value."""
    with open_secrets(options, only=(options.name,)) as resolution:
        raise_failures(resolution)
        if options.name not in resolution:
            outcome = resolution.outcomes[0]
            if outcome.status != "missing":  # with --skip-unreachable that is no failure of the run, and no answer
                raise UnreachableError(f"Cannot resolve {options.name}", note=f"{outcome.source} cannot be reached")
            checked = ", ".join(outcome.checked)
            raise SecretNotFoundError(f"Secret {options.name} not found", subject=f"Checked: {checked}")
        say_notes(resolution, options, console)
        value = resolution[options.name].view()
        if options.json:
            console.data([_as_json(options.name, value.tobytes())])
            return 0
        console.data([value])
        if is_terminal(STDOUT) and (not value or value[-1] != LINE_FEED):
            console.data([b"\n"])
    return 0


def _as_json(name: str, value: bytes) -> bytes:
    from sindri.formats.json_string import refusal, render

    if refusal(name, value) is None:
        return render([("name", name.encode()), ("value", value)])
    from binascii import b2a_base64

    return render([("name", name.encode()), ("value_base64", b2a_base64(value, newline=False))])
