"""`sindri destroy`: take the deployment away."""

from __future__ import annotations

from sindri.cli.console import STDERR, STDIN, is_terminal
from sindri.cli.interrupts import CleanInterrupts
from sindri.cli.options import add_json_option, add_manifest_options
from sindri.cli.session import manifest_of
from sindri.cli.target import add_target_options, choose_provider, make_choices
from sindri.errors import UsageError
from sindri.providers.base import build_provider
from sindri.providers.execution import Execution

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from sindri.cli.console import Console
    from sindri.cli.parser import CommandParser


def configure(parser: CommandParser) -> None:
    """Add the command's own options."""
    add_target_options(parser)
    parser.add_argument("--keep-volumes", action="store_true", help="leave the data of the volumes where it is")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done")
    add_manifest_options(parser)
    add_json_option(parser)


def execute(options: Namespace, console: Console) -> int:
    """Ask, then remove."""
    manifest = manifest_of(options)
    name = choose_provider(manifest, options, console)
    provider = build_provider(name)
    plan = provider.destroy(manifest, make_choices(manifest, options, name))
    what = plan.steps[0].title if plan.steps else ""
    if options.dry_run:
        if options.json:
            steps = [{"title": step.title, "argv": list(step.argv)} for step in plan.steps]
            console.json({"ok": True, "provider": plan.provider, "project": plan.project, "steps": steps})
        else:
            for step in plan.steps:
                console.line(f"{step.title}: {' '.join(step.argv)}")
        return 0
    if not options.yes:
        if not (is_terminal(STDIN) and is_terminal(STDERR)):
            raise UsageError(f"{what} needs a yes", hint="say --yes, or --keep-volumes --yes to keep the data")
        if not console.confirm(f"{what}. Go on?"):
            console.line("Nothing was removed")
            return 0

    def say(line: str) -> None:
        if not options.json:
            console.line(line)
            console.flush()

    echo = console.echo if not options.json else _ignore
    with CleanInterrupts():
        execution = Execution(plan, provider, manifest, say=say, echo=echo)
        provider.check_tools(execution)
        execution.apply(None)
    if options.json:
        console.json({"ok": True, "provider": plan.provider, "project": plan.project, "result": plan.result})
    else:
        console.line(plan.result)
    return 0


def _ignore(_line: bytes) -> None:
    """Throw a tool's output away: with --json standard output holds nothing else."""
