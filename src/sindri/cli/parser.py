"""The argument parser: argparse with our errors, one command at a time."""

from __future__ import annotations

import argparse

from sindri.cli.commands import COMMANDS
from sindri.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from _typeshed import SupportsWrite

    from sindri.cli.commands import Command
    from sindri.cli.console import Console

_HELP_WIDTH = 100

# argparse asks gettext for each of its titles, which imports `locale` and searches the disk for catalogues that nobody
# ships: a millisecond of every command. Untranslated, the help is also the same text everywhere.
argparse._ = str  # type: ignore[attr-defined]


class HelpShownError(Exception):
    """Help was asked for and printed: there is nothing else to do."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help of the same width everywhere, so that the generated reference does not depend on a terminal."""

    def __init__(self, prog: str, *_: object, **__: object) -> None:
        super().__init__(prog, max_help_position=28, width=_HELP_WIDTH)


class CommandParser(argparse.ArgumentParser):
    """Parses the options of one command. Mistakes are `UsageError`s; the process is never ended from here."""

    def __init__(self, words: Sequence[str], summary: str, details: str = "", console: Console | None = None) -> None:
        super().__init__(
            prog=" ".join(("sindri", *words)),
            description=f"{summary[:1].upper()}{summary[1:]}.",
            epilog=details or None,
            formatter_class=_Formatter,
            allow_abbrev=False,
        )
        self._console = console
        self.hint_for_surplus = f"see `{self.prog} --help`"
        self.color = False  # Python 3.14 paints help by default; ours must be the same text everywhere

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the options.

        Raises:
            UsageError: an option is unknown or lacks its value. What was typed is shown only where it is the name of
                an option: anything else may be a value that was meant to stay secret.
            HelpShownError: help was asked for.
        """
        options, unknown = self.parse_known_args(list(arguments))
        if unknown:
            named = [word.partition("=")[0] for word in unknown if word.startswith("-")]
            what = f"unknown option {', '.join(named)}" if named else "too many arguments"
            raise UsageError(f"{self.prog}: {what}", hint=self.hint_for_surplus)
        return options

    def takes_value(self, word: str) -> bool:
        """Return whether *word* is an option whose value is the next word."""
        action = self._option_string_actions.get(word)
        return action is not None and action.nargs is None

    def error(self, message: str) -> NoReturn:
        """Turn argparse's complaint into ours."""
        raise UsageError(f"{self.prog}: {message}", hint=f"see `{self.prog} --help`")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Say that help was shown; only `--help` comes here."""
        raise HelpShownError

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        if self._console is not None:
            for line in message.rstrip("\n").split("\n"):
                self._console.line(line)


def load_command(words: Sequence[str]) -> Command:
    """Return the module of a command."""
    import importlib

    module, _ = COMMANDS[tuple(words)]
    command: Command = importlib.import_module(f"sindri.cli.{module}")
    return command


def build_parser(words: Sequence[str], command: Command, console: Console | None = None) -> CommandParser:
    """Return the parser of one command."""
    _, summary = COMMANDS[tuple(words)]
    parser = CommandParser(words, summary, getattr(command, "DETAILS", ""), console)
    command.configure(parser)
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    return parser
