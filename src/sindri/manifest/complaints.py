"""What is wrong with a manifest, collected until all of it is known, and how it is worded.

A manifest may hold a secret by mistake (`name: TOKEN=...`, a pasted key). So a complaint shows only what looks like a
name or a path, cut at the first character that does not, and never a value that nothing is known about.
"""

from __future__ import annotations

from sindri.errors import ManifestError
from sindri.model import Complaint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    class Place(Protocol):
        """Anything with a position, counted from 1."""

        line: int
        column: int


_HARMLESS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./~${}\\<")
_SHOWN_CHARACTERS = 40
# difflib takes 0.3 ms a word: a megabyte of garbage must not become minutes of advice.
_ADVICE_LIMIT = 100


class Mistake(ValueError):  # noqa: N818  # a value that one field refuses; it becomes a complaint, never an error
    """A value that its field does not allow. The text says what is allowed."""


class Complaints:
    """The mistakes and the warnings of one file, in the order in which they were found."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.mistakes: list[Complaint] = []
        self.warnings: list[Complaint] = []
        self._advice_left = _ADVICE_LIMIT

    def mistake(self, place: Place, text: str) -> None:
        """Note a mistake: the file cannot be used."""
        self.mistakes.append(Complaint(file=self.file, line=place.line, column=place.column, text=text))

    def warning(self, place: Place, text: str, *, about: str = "") -> None:
        """Note something that does no harm by itself. *about* is the key's full path (`providers.fly.regoin`)."""
        self.warnings.append(Complaint(file=self.file, line=place.line, column=place.column, text=text, about=about))

    def advise(self, word: str, known: Iterable[str]) -> str:
        """Return `; did you mean ...?` when a known word is near, else nothing."""
        if self._advice_left <= 0 or len(word) > _SHOWN_CHARACTERS:
            return ""
        self._advice_left -= 1
        near = nearest(word, known)
        return f"; did you mean `{near}`?" if near else ""

    def raise_if_any(self) -> None:
        """Raise all mistakes as one error, in the order of the file.

        Raises:
            ManifestError: there is at least one mistake.
        """
        if not self.mistakes:
            return
        count = len(self.mistakes)
        ordered = sorted(self.mistakes, key=lambda complaint: (complaint.line, complaint.column))
        raise ManifestError(
            f"Cannot use {self.file}: {count} mistake{'s' if count > 1 else ''}",
            problems=tuple(str(complaint) for complaint in ordered),
        )


def quote(text: str) -> str:
    """Return *text* between backquotes, cut where it stops looking like a name or a path."""
    shown = 0
    for character in text[:_SHOWN_CHARACTERS]:
        if character not in _HARMLESS:
            break
        shown += 1
    return f"`{text}`" if shown == len(text) else f"`{text[:shown]}…`"


def listing(words: Iterable[str]) -> str:
    """Return the words between backquotes: "`a`, `b` or `c`"."""
    *head, last = [f"`{word}`" for word in words]
    return f"{', '.join(head)} or {last}" if head else last


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that *word* most likely stands for, whatever its case and its `_` and `-`; None if none."""
    from difflib import get_close_matches  # only a mistake pays for it

    folded = {_fold(candidate): candidate for candidate in known}
    exact = folded.get(_fold(word))
    if exact is not None:
        return exact
    matches = get_close_matches(_fold(word), folded, n=1, cutoff=0.7)
    return folded[matches[0]] if matches else None


def _fold(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
