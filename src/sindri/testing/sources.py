# ruff: noqa: D102 -- the name of a test says what it proves, and a failed one shows it
"""`SourceConformance`: what every source must do, as tests that a source of ours or a third party's inherits.

    class TestMySource(SourceConformance):
        def make_source(self, contents):
            memory = SecretMemory()
            ...  # put `contents` where the source looks
            return Prepared(source=MySource(...), candidate=lambda name: Candidate(...), memory=memory)

pytest runs the methods of such a class by their names; nothing here imports it. To have its words for a failed
comparison, say `pytest.register_assert_rewrite("sindri.testing.sources")` in a conftest; each check has its own anyway.
"""

from __future__ import annotations

import unittest

from sindri.errors import SindriError
from sindri.model import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sindri.model import Candidate, Outcome
    from sindri.secret import SecretMemory
    from sindri.sources.base import Source

MANY = 1000
"""How many candidates one batch holds in the test of large batches."""

VALUES: dict[str, bytes] = {
    "PLAIN": b"plain-4f9a",
    "NEWLINE": b"first line\nsecond line",
    "LAST_NEWLINE": b"ends with a line feed\n",
    "TWO_LAST_NEWLINES": b"ends with two\n\n",
    "CARRIAGE_RETURN": b"ends with a carriage return\r",
    "WINDOWS_LINES": b"one\r\ntwo\r\n",
    "NUL": b"before\0after",
    "EVERY_BYTE": bytes(range(256)),
    "UTF_8": "gr\u00fc\u00dfe \u2603 \U0001f600".encode(),
    "BYTE_ORDER_MARK": b"\xef\xbb\xbfmarked",
    "BLANKS": b"  blanks around\t ",
    "QUOTES": b"\"double\" 'single' `back`",
    "BACKSLASHES": b"C:\\new\\table\\",
    "EXPANSIONS": b"$HOME ${HOME} $(id) %PATH% #not-a-comment = :",
    "LONG": b"0123456789abcdef" * 4096,
}
"""The values that a source returns byte for byte, as far as it can carry them."""


class Prepared(Value):
    """A source with known contents. *candidate* returns the candidate for a name, also for one without a value.

    *memory* is the one that the source was built with.
    """

    source: Source
    candidate: Callable[[str], Candidate]
    memory: SecretMemory


class SourceConformance:
    """Inherit, say how a source is made (`make_source`), and its tests are yours.

    A class that wants a folder gets it from a pytest fixture of its own that sets an attribute.
    """

    def make_source(self, contents: Mapping[str, bytes]) -> Prepared:
        """Return a source that has exactly these values, under names such as `PLAIN` or `NAME_17`."""
        raise NotImplementedError

    def can_carry(self, value: bytes) -> bool:
        """Return whether the place can hold *value* at all; a variable of the shell holds no NUL, for example."""
        return True

    def make_broken(self) -> Prepared | None:
        """Return a source that cannot be reached or denies access to every name; None where there is no such thing."""
        return None

    # --- the batch ------------------------------------------------------------------------------------------------

    def test_an_empty_batch_has_no_answers(self) -> None:
        prepared = self.make_source({"PLAIN": b"v"})
        _check(list(prepared.source.answer([])) == [], "answer([]) is not empty")
        _check(list(prepared.source.ladder([])) == [], "ladder([]) is not empty")

    def test_there_is_one_outcome_for_each_candidate_in_the_order_they_were_asked(self) -> None:
        prepared = self.make_source({f"NAME_{n}": b"value %d" % n for n in range(0, 20, 2)})
        names = [f"NAME_{n}" for n in reversed(range(20))]
        outcomes = _ask(prepared, names)
        for name, outcome in zip(names, outcomes, strict=True):
            number = int(name.removeprefix("NAME_"))
            if number % 2:
                _check(outcome.secret is None, f"{name} has no value and got one")
            else:
                _check(_value(outcome) == b"value %d" % number, f"{name} got another one's value")

    def test_two_candidates_for_the_same_place_get_the_same_value(self) -> None:
        prepared = self.make_source({"PLAIN": b"twice", "OTHER": b"once"})
        values = [_value(outcome) for outcome in _ask(prepared, ["PLAIN", "OTHER", "PLAIN"])]
        _check(values == [b"twice", b"once", b"twice"], f"got {values}")

    def test_asking_again_gives_the_same_answers(self) -> None:
        prepared = self.make_source({"PLAIN": b"again"})
        for turn in ("first", "second"):
            found, missing = _ask(prepared, ["PLAIN", "ABSENT"])
            _check(_value(found) == b"again" and missing.status == "missing", f"the {turn} answer is another")

    def test_a_large_batch_is_answered_whole(self) -> None:
        contents = {f"NAME_{n}": b"value %d" % n for n in range(MANY)}
        prepared = self.make_source(contents)
        values = [_value(outcome) for outcome in _ask(prepared, list(contents))]
        _check(values == list(contents.values()), f"not all of {MANY} values came back in order")

    # --- what came back -------------------------------------------------------------------------------------------

    def test_a_value_comes_back_byte_for_byte(self) -> None:
        contents = {name: value for name, value in VALUES.items() if self.can_carry(value)}
        _check("PLAIN" in contents, "can_carry() refuses even plain text")
        for name, outcome in zip(contents, _ask(self.make_source(contents), list(contents)), strict=True):
            _check(outcome.status == "found", f"{name} is {outcome.status}")
            _check(_value(outcome) == contents[name], f"{name} is not what was put there")

    def test_a_name_without_a_value_is_missing_and_says_where_was_looked(self) -> None:
        [outcome] = _ask(self.make_source({"PLAIN": b"v"}), ["ABSENT"])
        _check(outcome.status == "missing", f"it is {outcome.status}")
        _check(outcome.secret is None, "it has a secret all the same")
        _check(bool(outcome.checked), "`checked` names no place")

    def test_an_empty_value_is_not_missing(self) -> None:
        if not self.can_carry(b""):
            raise unittest.SkipTest("this source cannot carry an empty value")
        [outcome] = _ask(self.make_source({"EMPTY": b""}), ["EMPTY"])
        # Whether an empty value will do is for the resolver to say; the source only has to tell it from none.
        is_empty = outcome.status == "found" and _value(outcome) == b""
        _check(is_empty or outcome.status == "empty", f"it is {outcome.status}")

    def test_what_was_found_says_where(self) -> None:
        [outcome] = _ask(self.make_source({"PLAIN": b"v"}), ["PLAIN"])
        _check(bool(outcome.where), "`where` is empty")

    def test_the_ladder_agrees_with_the_answer(self) -> None:
        names = ["PLAIN", "ABSENT", "OTHER"]
        prepared = self.make_source({"PLAIN": b"one", "OTHER": b"two"})
        batch = [prepared.candidate(name) for name in names]
        ladders = list(prepared.source.ladder(batch))
        _check(len(ladders) == len(batch), f"{len(ladders)} ladders for {len(batch)} candidates")
        for name, rungs, outcome in zip(names, ladders, _ask(prepared, names), strict=True):
            _check(len(rungs) > 0, f"the ladder of {name} has no rung")
            having = [rung for rung in rungs if rung.secret is not None]
            if outcome.secret is None:
                _check(not having, f"a rung has {name}, the answer has not")
            else:
                _check(bool(having), f"no rung has {name}, the answer has")
                _check(_value(having[0]) == _value(outcome), f"the first rung that has {name} has another value")
                _check(having[0].where == outcome.where, f"{name} is at {outcome.where} and at {having[0].where}")

    def test_a_source_that_cannot_be_had_is_an_outcome_for_each_candidate_not_an_exception(self) -> None:
        prepared = self.make_broken()
        if prepared is None:
            raise unittest.SkipTest("this source has no broken form")
        for outcome in _ask(prepared, ["PLAIN", "OTHER", "PLAIN"]):
            _check(outcome.status in ("unreachable", "denied", "integrity"), f"it is {outcome.status}")
            _check(outcome.secret is None, "it has a secret all the same")
            _check(isinstance(outcome.error, SindriError), f"its error is {outcome.error!r}")
            _check(bool(str(outcome.error).strip()), "its error says nothing")

    # --- plaintext ------------------------------------------------------------------------------------------------

    def test_no_text_of_an_outcome_shows_the_value(self) -> None:
        canary = b"canary-7c1e05d9b3"
        prepared = self.make_source({"PLAIN": canary})
        outcomes = [*_ask(prepared, ["PLAIN", "ABSENT"]), *prepared.source.ladder([prepared.candidate("PLAIN")])[0]]
        for outcome in outcomes:
            shown = f"{outcome!r} {outcome} {outcome.error} {outcome.notes} {outcome.warnings} {outcome.checked}"
            _check(canary.decode() not in shown, "the value stands in the text of an outcome")

    def test_the_plaintext_lies_in_the_memory_of_the_run_and_goes_with_it(self) -> None:
        prepared = self.make_source({"PLAIN": b"wiped-afterwards", "OTHER": b"this-one-too"})
        outcomes = _ask(prepared, ["PLAIN", "OTHER"])
        secrets = [outcome.secret for outcome in outcomes if outcome.secret is not None]
        views = [secret.view() for secret in secrets]
        _check(len(views) == len(outcomes), "a value was not found")
        prepared.memory.close()
        _check(not any(any(view) for view in views), "a value can still be read: it lay elsewhere")
        for secret in secrets:
            _check(_is_unusable(secret.reveal), "a secret can still be revealed")


def _ask(prepared: Prepared, names: Sequence[str]) -> list[Outcome]:
    batch = [prepared.candidate(name) for name in names]
    outcomes = list(prepared.source.answer(batch))
    _check(len(outcomes) == len(batch), f"{len(outcomes)} outcomes for {len(batch)} candidates")
    for candidate, outcome in zip(batch, outcomes, strict=True):
        _check(outcome.spec == candidate.spec, f"the outcome for {candidate.spec.name} is about {outcome.spec.name}")
        _check(outcome.source == candidate.source, f"its source is {outcome.source}, not {candidate.source}")
    return outcomes


def _value(outcome: Outcome) -> bytes:
    _check(outcome.secret is not None, f"{outcome.spec.name} is {outcome.status}, without a secret")
    return b"" if outcome.secret is None else outcome.secret.reveal()


def _is_unusable(reveal: Callable[[], bytes]) -> bool:
    try:
        reveal()
    except ValueError:
        return True
    return False


def _check(is_so: bool, otherwise: str) -> None:  # noqa: FBT001 -- an assertion that `python -O` keeps
    if not is_so:
        raise AssertionError(otherwise)
