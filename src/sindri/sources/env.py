"""`source: env`: the shell, then `.env.local`, then `.env`, then `fromFile`."""

from __future__ import annotations

import os

from sindri.errors import AccessDeniedError
from sindri.files import LINE_FEED, describe_os_error, read_secret_file
from sindri.model import Outcome
from sindri.secret import Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sindri.model import Candidate
    from sindri.sources.base import SourceContext

_FROM_FILE_LIMIT_BYTES = 1024 * 1024


def build(context: SourceContext) -> EnvSource:
    """Return the source for one run."""
    return EnvSource(context)


class EnvSource:
    """Answers from the shell and from files beside the manifest."""

    remote = False

    def __init__(self, context: SourceContext) -> None:
        self._environment = context.environment
        self._folder = context.manifest.folder
        self._memory = context.memory

    def answer(self, batch: Sequence[Candidate]) -> list[Outcome]:
        """Return the first rung that has each secret.

        Raises:
            EnvFileError: an env file cannot be read as written. That concerns every secret, so it is not an outcome.
        """
        if any("files" in candidate.rungs for candidate in batch):
            # Also when the shell has everything: a broken env file is reported today, not on the day it is needed.
            self._environment.files()
        return [self._first(candidate) for candidate in batch]

    def ladder(self, batch: Sequence[Candidate]) -> list[list[Outcome]]:
        """Return every rung of each secret, whether or not one above has it."""
        return [[self._outcome(candidate, *rung) for rung in self._rungs(candidate)] for candidate in batch]

    def _first(self, candidate: Candidate) -> Outcome:
        checked: list[str] = []
        for where, mark, answer in self._rungs(candidate):
            if answer is not None:
                return self._outcome(candidate, where, mark, answer)
            checked.append(mark)
        return Outcome(spec=candidate.spec, source="env", status="missing", checked=tuple(checked))

    def _rungs(self, candidate: Candidate) -> Iterator[tuple[str, str, Secret | AccessDeniedError | None]]:
        """Yield each place in turn: its name, how "Checked:" writes it, and what it has."""
        name = candidate.spec.name
        if "shell" in candidate.rungs:
            yield "shell environment", f"${name}", self._environment.from_shell(name)
        if "files" in candidate.rungs:
            present = {file.label: file for file in self._environment.files()}
            for label in self._environment.file_labels:
                yield label, label, present[label].lookup(name) if label in present else None
        from_file = getattr(candidate.spec, "from_file", None)
        if "fromFile" in candidate.rungs and from_file is not None:
            yield from_file, from_file, self._read_from_file(name, from_file)

    @staticmethod
    def _outcome(candidate: Candidate, where: str, mark: str, answer: Secret | AccessDeniedError | None) -> Outcome:
        if answer is None:
            return Outcome(spec=candidate.spec, source="env", status="missing", where=where, checked=(mark,))
        if isinstance(answer, Secret):
            return Outcome(spec=candidate.spec, source="env", status="found", secret=answer, where=where)
        return Outcome(spec=candidate.spec, source="env", status="denied", where=where, error=answer)

    def _read_from_file(self, name: str, from_file: str) -> Secret | AccessDeniedError | None:
        path = os.path.join(self._folder, os.path.expanduser(from_file))
        try:
            content, _ = read_secret_file(path, self._memory, limit_bytes=_FROM_FILE_LIMIT_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            return AccessDeniedError(
                f"Cannot read {name} from {from_file}: {describe_os_error(error)}", subject=f"File: {path}"
            )
        # One line feed is how editors and `echo` end a file. A carriage return before it is part of the value.
        if content and content[-1] == LINE_FEED:
            content = content[:-1]
        return Secret(content, self._memory)
