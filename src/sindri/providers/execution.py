"""Carrying out a plan: files first, steps in order, and nothing secret left behind whatever happens."""

from __future__ import annotations

import os

from sindri.errors import ConflictError, OutputError, SindriError, ToolFailedError
from sindri.files import (
    describe_os_error,
    make_private_folder,
    open_regular,
    remove_file,
    write_atomically,
    write_new_file,
)
from sindri.formats.redaction import Redactor
from sindri.locks import ExclusiveFile
from sindri.process.tools import ToolRun
from sindri.providers.base import GENERATED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sindri.model import Manifest, Resolution
    from sindri.process.tools import ToolResult
    from sindri.providers.base import Plan, PlannedFile, Provider, Step

_LOCK = "deploy.lock"


def tool_environment(manifest: Manifest, dropped: Sequence[str], shell: Mapping[str, str]) -> dict[str, str]:
    """Return the shell's variables without the project's secrets and without what would change the tool's course."""
    secret = {spec.name for spec in manifest.secrets}
    return {name: value for name, value in shell.items() if name not in secret and name not in dropped}


class Execution:
    """One run over a plan. *say* gets a line for each step, *echo* the redacted output of the tools."""

    def __init__(
        self,
        plan: Plan,
        provider: Provider,
        manifest: Manifest,
        *,
        say: Callable[[str], None],
        echo: Callable[[bytes], None],
    ) -> None:
        self._plan = plan
        self._provider = provider
        self._say = say
        self._echo = echo
        self._environment = tool_environment(manifest, plan.dropped, os.environ)
        self._redact: Callable[[bytes], bytes] = bytes
        self._left: list[str] = []

    def apply(self, resolution: Resolution | None) -> None:
        """Write the files and run the steps. *resolution* is None where the plan holds no secret.

        Raises:
            ConflictError: another deploy of this project is running, or a file that is not ours is in the way.
            ProviderError: a tool is missing or failed; the note says what exists now.
        """
        folder = self._plan.folder
        if resolution is not None:
            self._redact = Redactor([resolution[name].reveal() for name in resolution]).redact
        make_private_folder(folder)
        with ExclusiveFile(os.path.join(folder, _LOCK)) as lock:
            if lock.holder is not None:
                raise ConflictError(
                    f"Another deploy of {self._plan.project} is running (pid {lock.holder})",
                    hint="wait for it to end, then deploy again",
                )
            self.remove_secret_files(said_as="left by a deploy that was killed")
            self._provider.check_target(self._plan, self)
            try:
                self._write_files(resolution)
                for step in self._plan.steps:
                    self._run(step, resolution)
                if resolution is not None:
                    self._provider.verify(self._plan, resolution, self)
            except SindriError as error:
                # The steps that take things away create nothing, and what they leave they cannot tell.
                if resolution is not None:
                    error.note = "\n".join(filter(None, (error.note, self._state())))
                raise
            except Exception:
                raise
            except BaseException:  # a signal
                if resolution is not None:
                    self._say_last(f"Stopped: {self._state()}")
                raise
            finally:
                self.remove_secret_files()

    def _state(self) -> str:
        if not self._left:
            return "nothing was created at the target"
        return f"at the target there is now: {', '.join(self._left)}"

    def _say_last(self, line: str) -> None:
        try:
            self._say(line)
        except Exception:  # noqa: BLE001 -- the signal that is on its way matters more than who reads this
            return

    def remove_secret_files(self, said_as: str = "") -> None:
        """Remove every generated file that holds secrets, also one of an earlier run that this plan does not write."""
        written = (file.path for file in self._plan.files if file.secrets)
        for path in dict.fromkeys((*written, *self._plan.swept)):
            if remove_file(os.path.join(self._plan.folder, path)) and said_as:
                self._say(f"Removed {path}, {said_as}")

    def _write_files(self, resolution: Resolution | None) -> None:
        if self._plan.files:
            self._write_ignore()
        for file in self._plan.files:
            path = os.path.join(self._plan.folder, file.path)
            if file.secrets and resolution is not None:
                write_new_file(path, self._provider.render(file.path, self._plan, resolution), mode=file.mode)
            else:
                self._write_text(path, file)

    def _write_ignore(self) -> None:
        ignore = os.path.join(self._plan.folder, ".gitignore")
        if os.path.lexists(ignore):
            return
        # By name and not all: --output may name a folder with things of the user's.
        names = (".gitignore", _LOCK, *(file.path for file in self._plan.files))
        lines = [f"# {GENERATED}", *(f"/{name}" for name in names), ""]
        write_atomically(ignore, ["\n".join(lines).encode()], mode=0o644)

    @staticmethod
    def _write_text(path: str, file: PlannedFile) -> None:
        if not _is_ours_or_absent(path):
            raise ConflictError(
                f"{path} was not generated by sindri and is left as it is",
                hint="remove it, or name another folder with --output",
            )
        write_atomically(path, [file.text.encode()], mode=file.mode)

    def _run(self, step: Step, resolution: Resolution | None) -> None:
        if step.probe is not None:
            succeeded = self.ask(step.probe.argv)[0] == 0
            if succeeded is not step.probe.wants_success:
                return
        self._say(f"{step.title}...")
        stdin: Sequence[bytes | memoryview] = ()
        if step.stdin and resolution is not None:
            stdin = self._provider.render(step.stdin, self._plan, resolution)
        echo = None if step.is_silent else self._echo
        result = self._call(step.argv, stdin=stdin, timeout_s=step.timeout_s, echo=echo)
        for path in step.consumes:
            remove_file(os.path.join(self._plan.folder, path))
        if result.exit_code != 0:
            raise ToolFailedError(
                f"{step.title} failed: {' '.join(step.argv[:2])} ended with {result.exit_code}",
                note=_last_words(result),
            )
        if step.leaves:
            self._left.append(step.leaves)

    def ask(self, argv: Sequence[str], *, stdin: Sequence[bytes | memoryview] = ()) -> tuple[int, bytes]:
        """Return the exit code and standard output of a call that changes nothing. The output is not redacted.

        Raises:
            ToolMissingError: the tool is not there.
        """
        result = ToolRun(argv, environment=self._environment, stdin=stdin).finish()
        return result.exit_code, result.stdout

    def _call(
        self,
        argv: Sequence[str],
        *,
        stdin: Sequence[bytes | memoryview],
        timeout_s: float,
        echo: Callable[[bytes], None] | None,
    ) -> ToolResult:
        run = ToolRun(
            argv,
            environment=self._environment,
            stdin=stdin,
            timeout_s=timeout_s,
            redact=self._redact,
            on_line=echo,
        )
        return run.finish()


def _is_ours_or_absent(path: str) -> bool:
    head = f"# {GENERATED}".encode()
    try:
        descriptor, _ = open_regular(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise OutputError(f"Cannot read {path}: {describe_os_error(error)}") from None
    try:
        return os.read(descriptor, len(head)) == head
    finally:
        os.close(descriptor)


def _last_words(result: ToolResult) -> str:
    lines = (result.stderr or result.stdout).splitlines()
    return "\n".join(os.fsdecode(line) for line in lines[-5:])
