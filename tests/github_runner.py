"""*Simulated*: what GitHub's runner makes of the file named by GITHUB_ENV and of a line of output.

Written from the rules in actions/runner (`FileCommandManager.cs`, `ActionCommand.cs`); the runner itself was not run.
"""

from __future__ import annotations


def read_env_file(data: bytes, *, windows: bool = False) -> dict[str, str]:
    """Return the variables that later steps get."""
    text = data.decode()
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        line, _, at = _line(text, at, windows=windows)
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            found[line[:equals]] = line[equals + 1 :]
            continue
        name, delimiter = line[:heredoc], line[heredoc + 2 :]
        if heredoc < 0 or not name or not delimiter:
            raise ValueError("invalid format")
        start = end = at
        while True:
            if at >= len(text):
                raise ValueError("matching delimiter not found")
            line, newline, at = _line(text, at, windows=windows)
            if line == delimiter:
                break
            if not newline:
                raise ValueError("EOF marker missing new line")
            end = at - len(newline)
        found[name] = text[start:end]
    return found


def masked_log(commands: bytes, log: str) -> str:
    """Return *log* as the runner stores it after it has read *commands*, one command a line."""
    masks = []
    for line in commands.decode().splitlines():
        assert line.startswith("::add-mask::")
        data = line.removeprefix("::add-mask::")
        data = data.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
        assert data.strip(), "the runner warns about an empty mask"
        masks.append(data)
    for mask in sorted(masks, key=len, reverse=True):
        log = log.replace(mask, "***")
    return log


def _line(text: str, at: int, *, windows: bool) -> tuple[str, str, int]:
    end = text.find("\n", at)
    if end < 0:
        return text[at:], "", len(text)
    if windows and text[at:end].endswith("\r"):
        return text[at : end - 1], "\r\n", end + 1
    return text[at:end], "\n", end + 1
