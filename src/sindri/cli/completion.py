"""`sindri completion SHELL`: print the completion script for a shell."""

from __future__ import annotations

import os

from sindri.files import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from sindri.cli.console import Console
    from sindri.cli.parser import CommandParser

SHELLS = ("bash", "zsh", "fish")

DETAILS = """\
bash   sindri completion bash > ~/.local/share/bash-completion/completions/sindri
zsh    sindri completion zsh > a folder of your $fpath, as the file _sindri
fish   sindri completion fish > ~/.config/fish/completions/sindri.fish"""


def configure(parser: CommandParser) -> None:
    """Add the command's own options."""
    parser.add_argument("shell", choices=SHELLS, help="the shell to complete in")


def execute(options: Namespace, console: Console) -> int:
    """Print the script that was made when Sindri was built."""
    path = os.path.join(os.path.dirname(__file__), "completions", f"sindri.{options.shell}")
    descriptor, status = open_regular(path)
    try:
        console.data([os.read(descriptor, status.st_size)])
    finally:
        os.close(descriptor)
    return 0
