"""The published conformance suite over the sources that are built in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sindri.environment import Environment
from sindri.model import Candidate, EnvSpec, FileSpec, Manifest, Outcome
from sindri.secret import SecretMemory
from sindri.sources.base import SourceContext, UnbuiltSource, build_source
from sindri.testing.sources import Prepared, SourceConformance


class InFolder(SourceConformance):
    """Gives each test a folder of its own."""

    folder: Path

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path


def prepare(name, folder, candidate, *, shell=None):
    memory = SecretMemory()
    manifest = Manifest(path=str(folder / "sindri.yaml"), display="sindri.yaml", folder=str(folder))
    environment = Environment(str(folder), memory, shell={} if shell is None else shell)
    context = SourceContext(manifest=manifest, environment=environment, memory=memory)
    return Prepared(source=build_source(name, context), candidate=candidate, memory=memory)


def env_candidate(name):
    return Candidate(spec=EnvSpec(name=name), source="env")


def from_file_candidate(name):
    return Candidate(spec=EnvSpec(name=name, from_file=f"values/{name}"), source="env")


def file_candidate(name):
    return Candidate(spec=FileSpec(name=name, path=f"values/{name}", mount_path=f"/run/{name}"), source="file")


def in_double_quotes(value):
    return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\r", b"\\r") + b'"'


def put_values(folder, contents, ending=b""):
    (folder / "values").mkdir()
    for name, value in contents.items():
        (folder / "values" / name).write_bytes(value + ending)


def is_utf_8(value):
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


class TestShell(InFolder):
    """The first rung of `source: env`."""

    def make_source(self, contents):
        shell = {name.encode(): value for name, value in contents.items()}
        return prepare("env", self.folder, env_candidate, shell=shell)

    def can_carry(self, value):
        return b"\0" not in value


class TestEnvFiles(InFolder):
    """The second and third rung of `source: env`; every other value lies in the file that wins."""

    def make_source(self, contents):
        lines = [name.encode() + b"=" + in_double_quotes(value) + b"\n" for name, value in contents.items()]
        (self.folder / ".env.local").write_bytes(b"".join(lines[::2]))
        (self.folder / ".env").write_bytes(b"".join(lines[1::2]))
        return prepare("env", self.folder, env_candidate)

    def can_carry(self, value):
        return is_utf_8(value)


class TestFromFile(InFolder):
    """The last rung of `source: env`, whose files end with one line feed more than the value."""

    def make_source(self, contents):
        put_values(self.folder, contents, ending=b"\n")
        return prepare("env", self.folder, from_file_candidate)

    def make_broken(self):
        for name in ("PLAIN", "OTHER"):
            os.makedirs(self.folder / "values" / name)
        return prepare("env", self.folder, from_file_candidate)


class TestFile(InFolder):
    """`source: file`."""

    def make_source(self, contents):
        put_values(self.folder, contents)
        return prepare("file", self.folder, file_candidate)

    def make_broken(self):
        for name in ("PLAIN", "OTHER"):
            os.makedirs(self.folder / "values" / name)
        return prepare("file", self.folder, file_candidate)


# --- the suite itself: a source with a defect does not pass -----------------------------------------------------------


class Defective:
    """A source over a dict, right but for the one thing that a subclass does to its answers."""

    def __init__(self, contents, memory):
        self.contents = contents
        self.memory = memory

    def answer(self, batch):
        return self.damage([self.one(candidate) for candidate in batch])

    def ladder(self, batch):
        return [[self.one(candidate)] for candidate in batch]

    def one(self, candidate):
        value = self.contents.get(candidate.spec.name)
        if value is None:
            return Outcome(spec=candidate.spec, source="env", status="missing", checked=("dict",))
        return Outcome(spec=candidate.spec, source="env", status="found", where="dict", secret=self.memory.store(value))

    def damage(self, outcomes):
        return outcomes


class Reverses(Defective):
    def damage(self, outcomes):
        return outcomes[::-1]


class DropsTheMissing(Defective):
    def damage(self, outcomes):
        return [outcome for outcome in outcomes if outcome.secret is not None]


class Strips(Defective):
    def damage(self, outcomes):
        return [
            outcome.replace(secret=self.memory.store(outcome.secret.reveal().strip())) if outcome.secret else outcome
            for outcome in outcomes
        ]


class ShowsTheValue(Defective):
    def damage(self, outcomes):
        return [
            outcome.replace(notes=(f"it is {outcome.secret.reveal()!r}",)) if outcome.secret else outcome
            for outcome in outcomes
        ]


class KeepsPlaintextElsewhere(Defective):
    def __init__(self, contents, memory):
        super().__init__(contents, SecretMemory())


class TakesEmptyForMissing(Defective):
    def __init__(self, contents, memory):
        super().__init__({name: value for name, value in contents.items() if value}, memory)


class NamesNoPlace(Defective):
    def damage(self, outcomes):
        return [outcome.replace(where="", checked=()) for outcome in outcomes]


class Raises(Defective):
    def answer(self, batch):
        if any(candidate.spec.name not in self.contents for candidate in batch):
            raise KeyError("not there")
        return super().answer(batch)


def failing_tests(source_class):
    """Return the names of the suite's tests that *source_class* does not pass."""

    class Suite(SourceConformance):
        def make_source(self, contents):
            memory = SecretMemory()
            return Prepared(source=source_class(dict(contents), memory), candidate=env_candidate, memory=memory)

    failed = set()
    for name in dir(Suite):
        if name.startswith("test_") and "cannot_be_had" not in name:
            try:
                getattr(Suite(), name)()
            except (AssertionError, KeyError):
                failed.add(name)
    return failed


def test_a_source_without_a_defect_passes_the_suite():
    assert failing_tests(Defective) == set()


@pytest.mark.parametrize(
    ("defect", "test"),
    [
        (Reverses, "test_there_is_one_outcome_for_each_candidate_in_the_order_they_were_asked"),
        (DropsTheMissing, "test_there_is_one_outcome_for_each_candidate_in_the_order_they_were_asked"),
        (Strips, "test_a_value_comes_back_byte_for_byte"),
        (ShowsTheValue, "test_no_text_of_an_outcome_shows_the_value"),
        (KeepsPlaintextElsewhere, "test_the_plaintext_lies_in_the_memory_of_the_run_and_goes_with_it"),
        (TakesEmptyForMissing, "test_an_empty_value_is_not_missing"),
        (NamesNoPlace, "test_a_name_without_a_value_is_missing_and_says_where_was_looked"),
        (NamesNoPlace, "test_what_was_found_says_where"),
        (Raises, "test_a_name_without_a_value_is_missing_and_says_where_was_looked"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_source_with_a_defect_fails_the_test_that_is_about_it(defect, test):
    assert test in failing_tests(defect)


def test_a_source_that_is_not_built_says_so_for_each_candidate():
    class Suite(SourceConformance):
        def make_broken(self):
            return Prepared(source=UnbuiltSource("env"), candidate=env_candidate, memory=SecretMemory())

    Suite().test_a_source_that_cannot_be_had_is_an_outcome_for_each_candidate_not_an_exception()


def test_the_doubles_can_be_imported_without_pytest():
    import subprocess

    program = (
        "import sys; sys.modules['pytest'] = None\n"
        "import sindri.testing as testing\n"
        "for name in testing.__all__: getattr(testing, name)\n"
        "print(len(testing.__all__))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert int(done.stdout) > 10
