"""`source: file`: a file that appears, with its mode, where the project runs."""

from __future__ import annotations

import os
import stat

from sindri.errors import AccessDeniedError, SecretNotFoundError
from sindri.files import describe_os_error, read_secret_file
from sindri.model import FileSpec, Outcome
from sindri.secret import Secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sindri.model import Candidate
    from sindri.sources.base import SourceContext

_LIMIT_BYTES = 64 * 1024 * 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_CAN_READ = stat.S_IRGRP | stat.S_IROTH


def build(context: SourceContext) -> FileSource:
    """Return the source for one run."""
    return FileSource(context)


class FileSource:
    """Answers with the content of files, each opened once."""

    remote = False

    def __init__(self, context: SourceContext) -> None:
        self._folder = context.manifest.folder
        self._memory = context.memory

    def answer(self, batch: Sequence[Candidate]) -> list[Outcome]:
        """Return the content of each file, or why it cannot be had."""
        return [self._read(candidate.spec) for candidate in batch if isinstance(candidate.spec, FileSpec)]

    def ladder(self, batch: Sequence[Candidate]) -> list[list[Outcome]]:
        """Return the one rung there is."""
        return [[outcome] for outcome in self.answer(batch)]

    def _read(self, spec: FileSpec) -> Outcome:
        path = os.path.join(self._folder, os.path.expanduser(spec.path))
        try:
            content, status = read_secret_file(path, self._memory, limit_bytes=_LIMIT_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return Outcome(
                spec=spec,
                source="file",
                status="missing",
                where=spec.path,
                checked=(spec.path,),
                error=SecretNotFoundError(f"Secret file not found: {spec.path}", subject=f"File: {path}"),
            )
        except OSError as error:
            problem = AccessDeniedError(
                f"Cannot read secret file {spec.path}: {describe_os_error(error)}", subject=f"File: {path}"
            )
            return Outcome(spec=spec, source="file", status="denied", where=spec.path, error=problem)
        warnings: tuple[str, ...] = ()
        mode = stat.S_IMODE(status.st_mode)
        if os.name == "posix" and _is_private(spec, content) and mode & _OTHERS:
            who = "others can read it" if mode & _CAN_READ else "others have rights on it"
            warnings = (f"{who} (mode {mode:04o}); run: chmod 600 {spec.path}",)
        return Outcome(
            spec=spec,
            source="file",
            status="found",
            secret=Secret(content, self._memory),
            where=spec.path,
            warnings=warnings,
        )


def _is_private(spec: FileSpec, content: memoryview) -> bool:
    if spec.permissions_declared and not spec.permissions & _OTHERS:
        return True
    import re

    # A regular expression reads the buffer in place; slicing out the header would copy key material beside it.
    # The key need not come first: servers want it behind the certificate, in one file.
    begins_as_pem = re.match(rb"-----BEGIN ", content) is not None
    return begins_as_pem and re.search(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY", content) is not None
