"""What an error says, and the exit code of a run with several."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle

import pytest

from sindri import errors
from sindri.errors import (
    EXIT_CODES,
    AccessDeniedError,
    IntegrityError,
    ManifestError,
    ResolutionError,
    SecretNotFoundError,
    SindriError,
    UnreachableError,
    worst_exit_code,
)

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, SindriError)]


@pytest.mark.parametrize(
    ("codes", "worst"),
    [
        ([], 0),
        ([0], 0),
        ([4], 4),
        ([4, 5], 5),
        ([5, 6, 4], 6),
        ([8, 6], 6),
        ([7, 5], 5),
        ([8, 4, 7], 4),
        ([3, 7], 7),
        ([8, 7, 2], 8),
        ([0, 1], 1),
        ([127, 5], 5),
    ],
)
def test_6_goes_before_5_before_4_and_any_other_by_size(codes, worst):
    for order in itertools.permutations(codes):
        assert worst_exit_code(iter(order)) == worst


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_a_documented_exit_code_and_a_word_for_programs(kind):
    assert kind.__name__.endswith("Error")
    assert kind.code
    assert kind.code == kind.code.lower()
    assert kind is ResolutionError or kind.exit_code in EXIT_CODES


def test_the_words_for_programs_are_each_of_one_class():
    words = [kind.code for kind in ALL]
    assert len(set(words)) == len(words)


def test_an_error_says_its_fact_then_what_it_is_about_then_more_then_what_to_do():
    error = SindriError("One fact", subject="Path: x", note="first\nsecond", hint="do this")
    assert str(error) == "One fact\nPath: x\n  first\n  second\n  hint: do this"
    assert error.lines() == str(error).splitlines()
    assert str(SindriError("One fact")) == "One fact"


def test_the_mistakes_of_a_manifest_stand_on_lines_of_their_own():
    error = ManifestError("Cannot use it", problems=("a:1:1: x", "a:2:1: y"), hint="edit it")
    assert error.lines() == ["Cannot use it", "a:1:1: x", "a:2:1: y", "  hint: edit it"]


def test_a_resolution_error_holds_every_failure_in_order_and_the_code_of_the_worst():
    failures = (SecretNotFoundError("a", hint="b"), IntegrityError("c"), UnreachableError("d"))
    error = ResolutionError(failures)
    assert error.failures == failures
    assert error.exit_code == 6
    assert str(error) == "a\n  hint: b\nc\nd"


EXAMPLES = [
    AccessDeniedError("denied", subject="Path: x", note="n", hint="h"),
    ManifestError("bad", problems=("a", "b"), hint="h"),
    ResolutionError((UnreachableError("a", hint="h"), SecretNotFoundError("b"))),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("travel", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])  # noqa: S301 -- our own
def test_an_error_crosses_from_a_process_of_a_pool_to_another_unharmed(error, travel):
    arrived = travel(error)
    assert type(arrived) is type(error)
    assert arrived.lines() == error.lines()
    assert arrived.exit_code == error.exit_code
    assert arrived.hint == error.hint
