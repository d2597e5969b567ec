"""The frozen values, the order of candidates, and the resolution as a mapping."""

from __future__ import annotations

import copy
import pickle

import pytest

from sindri.errors import SecretNotFoundError
from sindri.model import (
    LOCAL_RUNGS,
    SHELL_ONLY,
    Candidate,
    Complaint,
    EnvSpec,
    FileSpec,
    Manifest,
    Outcome,
    Resolution,
    SecretSpec,
    StoreSpec,
    Value,
    VaultAddress,
    VaultSpec,
)
from sindri.secret import SecretMemory

VAULT = VaultAddress(path="app/prod", key="url")


class Point(Value):
    x: int
    y: int = 0


class NamedPoint(Point):
    name: str


def test_fields_are_given_by_name_and_defaults_fill_the_rest():
    point = NamedPoint(x=1, name="corner")
    assert (point.x, point.y, point.name) == (1, 0, "corner")
    assert repr(point) == "NamedPoint(x=1, y=0, name='corner')"


def test_a_missing_or_unknown_field_is_named():
    with pytest.raises(TypeError, match=r"^NamedPoint needs name=$"):
        NamedPoint(x=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"^Point has no field q, z$"):
        Point(x=1, z=2, q=3)  # type: ignore[call-arg]


def test_a_value_cannot_be_changed_and_grows_no_attributes():
    point = Point(x=1)
    with pytest.raises(AttributeError, match="frozen"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del point.y
    with pytest.raises(AttributeError, match="frozen"):
        point.z = 3
    assert not hasattr(point, "__dict__")
    assert (point.x, point.y) == (1, 0)


def test_values_are_equal_by_class_and_fields():
    assert Point(x=1) == Point(x=1, y=0)
    assert Point(x=1) != Point(x=2)
    assert Point(x=1) != NamedPoint(x=1, name="")
    assert Point(x=1) != (1, 0)
    assert len({Point(x=1), Point(x=1), Point(x=2)}) == 2


def test_a_replaced_field_makes_another_value():
    point = Point(x=1, y=2)
    assert point.replace(y=3) == Point(x=1, y=3)
    assert point.y == 2
    with pytest.raises(TypeError, match="no field z"):
        point.replace(z=1)


@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])  # noqa: S301
def test_a_value_survives_copying_and_pickling(travel):
    spec = EnvSpec(name="A", vault=VAULT, line=3)
    assert travel(spec) == spec


def test_what_holds_a_secret_shows_and_copies_none_of_it(canary):
    with SecretMemory() as memory:
        outcome = Outcome(spec=EnvSpec(name="A"), source="env", status="found", secret=memory.store(canary.encode()))
        assert canary not in repr(outcome)
        assert "<Secret: hidden>" in repr(outcome)
        for give_away in (copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                give_away(outcome)


def test_a_complaint_reads_as_a_place_and_a_text():
    assert str(Complaint(file="sindri.yaml", line=3, column=7, text="no")) == "sindri.yaml:3:7: no"


def ladder(spec, override="shell"):
    return [(candidate.role, candidate.source) for candidate in spec.candidates(override)]


@pytest.mark.parametrize("override", ["shell", "all", "off"])
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (EnvSpec(name="A"), ["env"]),
        (EnvSpec(name="A", s3_path="a"), ["env", "s3"]),
        (EnvSpec(name="A", vault=VAULT), ["env", "vault"]),
        (EnvSpec(name="A", vault=VAULT, s3_path="a"), ["env", "s3", "vault"]),
        (FileSpec(name="A", path="f", mount_path="/f"), ["file"]),
    ],
)
def test_the_guides_ladder_and_a_file_do_not_depend_on_the_override(spec, expected, override):
    assert ladder(spec, override) == [("home", source) for source in expected]
    assert all(candidate.rungs == LOCAL_RUNGS and candidate.spec is spec for candidate in spec.candidates(override))


@pytest.mark.parametrize("override", ["shell", "all", "off"])
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (StoreSpec(name="A", fallback="env"), [("home", "s3"), ("fallback", "env")]),
        (VaultSpec(name="A", vault=VAULT, fallback="env"), [("home", "vault"), ("fallback", "env")]),
        (StoreSpec(name="A", fallback="vault", vault=VAULT), [("home", "s3"), ("fallback", "vault")]),
        (VaultSpec(name="A", vault=VAULT, fallback="s3", s3_path="a"), [("home", "vault"), ("fallback", "s3")]),
        (StoreSpec(name="A", fallback="vault"), [("home", "s3")]),
        (VaultSpec(name="A", vault=VAULT, fallback="s3"), [("home", "vault")]),
    ],
)
def test_with_an_explicit_fallback_nothing_overrides_the_home_and_no_path_is_invented(spec, expected, override):
    assert ladder(spec, override) == expected


@pytest.mark.parametrize("kind", [StoreSpec, VaultSpec])
@pytest.mark.parametrize("override, rungs", [("shell", SHELL_ONLY), ("all", LOCAL_RUNGS)])  # noqa: PT006
def test_without_a_fallback_the_override_comes_before_the_home(kind, override, rungs):
    local, home = kind(name="A").candidates(override)
    assert (local.role, local.source, local.rungs) == ("override", "env", rungs)
    assert (home.role, home.source) == ("home", kind.source)


@pytest.mark.parametrize("kind", [StoreSpec, VaultSpec])
def test_with_the_override_off_the_home_is_the_only_candidate(kind):
    spec = kind(name="A")
    assert spec.candidates("off") == (Candidate(spec=spec, source=kind.source),)


def test_a_spec_without_a_source_has_no_candidates_to_give():
    with pytest.raises(NotImplementedError):
        SecretSpec(name="A").candidates("shell")


# --- the resolution -----------------------------------------------------------------------------------------------


@pytest.fixture
def resolution():
    memory = SecretMemory()
    names = [EnvSpec(name=name) for name in ("Z", "OPTIONAL", "BROKEN", "A")]
    error = SecretNotFoundError("BROKEN is not there")
    outcomes = (
        Outcome(spec=names[0], source="env", status="found", secret=memory.store(b"last letter")),
        Outcome(spec=names[1], source="env", status="missing"),
        Outcome(spec=names[2], source="env", status="missing", error=error),
        Outcome(spec=names[3], source="env", status="empty", secret=memory.store(b"")),
    )
    manifest = Manifest(path="/x/sindri.yaml", display="sindri.yaml", folder="/x", secrets=tuple(names))
    with Resolution(manifest, outcomes, memory) as resolution:
        yield resolution


def test_a_resolution_holds_the_names_that_have_a_value_in_the_manifests_order(resolution):
    assert list(resolution) == ["Z", "A"]
    assert len(resolution) == 2
    assert [name in resolution for name in ("Z", "A", "OPTIONAL", "BROKEN", "UNKNOWN")] == [True, True] + [False] * 3
    assert 7 not in resolution


def test_a_name_gives_its_secret_a_failed_one_its_error_and_any_other_a_key_error(resolution):
    assert resolution["Z"].reveal() == b"last letter"
    assert resolution["A"].reveal() == b""
    with pytest.raises(SecretNotFoundError, match="BROKEN is not there"):
        resolution["BROKEN"]
    for name in ("OPTIONAL", "UNKNOWN"):
        with pytest.raises(KeyError, match=name):
            resolution[name]


def test_the_failures_are_those_of_the_outcomes(resolution):
    assert resolution.failures == (resolution.outcomes[2].error,)


def test_closing_wipes_the_values_and_leaves_the_outcomes_readable(resolution):
    secret, view = resolution["Z"], resolution["Z"].view()
    resolution.close()
    assert view.tobytes() == bytes(11)
    assert [outcome.status for outcome in resolution.outcomes] == ["found", "missing", "missing", "empty"]
    with pytest.raises(ValueError, match="wiped"):
        secret.reveal()


def test_an_error_inside_the_context_wipes_too(resolution):
    view = resolution["Z"].view()
    with pytest.raises(ZeroDivisionError), resolution:
        raise ZeroDivisionError
    assert view.tobytes() == bytes(11)
