"""The guide's code blocks, and what `blocks.yaml` claims about every line of them.

A block is stored under `blocks/` as `L0072.bash`: 72 is the guide's line that opens the fence, so that line *n* of the
file is line 72 + n of the guide. A claim covers lines of one block; together the claims cover every line that is not
blank, once. A promise is a claim about a line outside of the blocks (a default in a table, a command in a sentence).
Nothing here runs anything.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

FOLDER = Path(__file__).parent
BLOCKS = FOLDER / "blocks"
ROOT = FOLDER.parent.parent
GUIDE = ROOT.parent / "shared" / "spec" / "secrets-guide.md"
"""The guide itself: beside the checkout where the project is developed, absent elsewhere."""

KINDS = ("runs", "loads", "loads in parts", "excerpt", "error", "not yet")
EXPLAINED = ("loads in parts", "excerpt", "error")
"""Kinds that are less than what the guide shows: each has a reason, which docs/guide.md repeats."""

ISSUES = {4: "deploy to Docker Compose", 5: "the store", 6: "Vault", 7: "the other targets", 8: "the store in a team"}


class Block(NamedTuple):
    """One fenced block: *line* is that of the opening fence, *text* ends with a line feed."""

    line: int
    language: str
    text: str

    @property
    def file_name(self) -> str:
        """The name under which it is stored."""
        return f"L{self.line:04}.{self.language or 'txt'}"

    @property
    def numbered(self) -> dict[int, str]:
        """Its lines by their number in the guide."""
        return dict(enumerate(self.text.splitlines(), self.line + 1))


class Claim(NamedTuple):
    """What is said of some lines of the guide. *body* holds what the kind needs, as `blocks.yaml` explains."""

    place: str
    lines: tuple[int, ...]
    kind: str
    body: dict[str, Any]

    @property
    def name(self) -> str:
        """Where it is, in one word that sorts: `L0095-0096`."""
        return "L" + "-".join(f"{number:04}" for number in sorted({self.lines[0], self.lines[-1]}))

    @property
    def span(self) -> str:
        """Where it is, for readers: `95-96`."""
        return "-".join(str(number) for number in sorted({self.lines[0], self.lines[-1]}))


def fenced_blocks(markdown: str) -> list[Block]:
    """Return the fenced blocks of *markdown*; a fence's own indentation is taken off its lines, as CommonMark does."""
    blocks: list[Block] = []
    opened: tuple[int, int, str] | None = None
    content: list[str] = []
    for number, line in enumerate(markdown.splitlines(), 1):
        fence = re.fullmatch(r"( *)```(\S*) *", line)
        if opened is None and fence:
            opened, content = (number, len(fence[1]), fence[2]), []
        elif opened is not None and fence and not fence[2]:
            blocks.append(Block(opened[0], opened[2], "".join(f"{text}\n" for text in content)))
            opened = None
        elif opened is not None:
            indent = min(opened[1], len(line) - len(line.lstrip(" ")))
            content.append(line[indent:])
    if opened is not None:
        raise ValueError(f"the fence of line {opened[0]} is not closed")
    return blocks


def stored_blocks() -> list[Block]:
    """Return the blocks kept in `blocks/`, in the guide's order."""
    found = []
    for path in sorted(BLOCKS.iterdir()):
        line, _, language = path.name.partition(".")
        found.append(Block(int(line[1:]), "" if language == "txt" else language, path.read_text(encoding="utf-8")))
    return found


def line_numbers(ranges: str | int) -> tuple[int, ...]:
    """Return the numbers that `"547-550,552"` stands for."""
    numbers: list[int] = []
    for part in str(ranges).split(","):
        first, _, last = part.partition("-")
        numbers.extend(range(int(first), int(last or first) + 1))
    return tuple(numbers)


def guide_lines() -> dict[int, str]:
    """Return every stored line by its number in the guide."""
    return {number: text for block in stored_blocks() for number, text in block.numbered.items()}


def definitions() -> dict[str, Any]:
    """Return `blocks.yaml` as it is written."""
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / "blocks.yaml").read_text(encoding="utf-8"))
    return loaded


def all_claims() -> list[Claim]:
    """Return the claims about blocks, then the promises, each in the guide's order."""
    written = definitions()
    claims = []
    for place in ("blocks", "promises"):
        for key, bodies in written[place].items():
            for body in bodies:
                rest = dict(body)
                lines = rest.pop("lines", key)
                claims.append(Claim(str(key), line_numbers(lines), rest.pop("is"), rest))
    return claims


def decided() -> list[tuple[str, Claim]]:
    """Return the claims of `decisions.yaml`, each with the words that its rule in docs/guide.md begins with."""
    written = yaml.safe_load((FOLDER / "decisions.yaml").read_text(encoding="utf-8"))
    return [
        (rule, Claim("decisions", (0,), body["is"], {key: body[key] for key in body if key != "is"}))
        for rule, bodies in written.items()
        for body in bodies
    ]


def rules_that_hold() -> list[str]:
    """Return the rules of docs/guide.md that hold now: the list items before the heading of what is not built yet."""
    text = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8").partition("\n## Decided, not built yet\n")[0]
    return [line.removeprefix("- ") for line in text.splitlines() if line.startswith("- ")]


def explanations(claims: list[Claim]) -> list[str]:
    """Return the rows of docs/guide.md: each part of a block that is less than what the guide shows, and why."""
    return [
        f"| {claim.span} | {claim.kind} | {claim.body['why']} |"
        for claim in claims
        if claim.kind in EXPLAINED and "says" not in claim.body
    ]
