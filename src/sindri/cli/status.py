"""`sindri status`: show what runs at the target."""

from __future__ import annotations

from sindri.cli.interrupts import CleanInterrupts
from sindri.cli.options import add_json_option, add_manifest_options
from sindri.cli.session import manifest_of
from sindri.cli.target import add_target_options, choose_provider, make_choices
from sindri.providers.base import Plan, build_provider
from sindri.providers.execution import Execution

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from sindri.cli.console import Console
    from sindri.cli.parser import CommandParser


def configure(parser: CommandParser) -> None:
    """Add the command's own options."""
    add_target_options(parser)
    add_manifest_options(parser)
    add_json_option(parser)


def execute(options: Namespace, console: Console) -> int:
    """Ask the target."""
    manifest = manifest_of(options)
    name = choose_provider(manifest, options, console)
    provider = build_provider(name)
    nothing = Plan(provider=name, project="", folder=make_choices(manifest, options, name).folder)
    tools = Execution(nothing, provider, manifest, say=console.line, echo=console.echo)
    with CleanInterrupts():
        status = provider.status(manifest, tools)
    if options.json:
        console.json(
            {
                "provider": status.provider,
                "project": status.project,
                "state": status.state,
                "details": list(status.details),
            }
        )
        return 0
    console.line(f"{status.project} on {status.provider}: {status.state}")
    for line in status.details:
        console.line(f"  {line}")
    return 0
