from __future__ import annotations

import errno
import shutil
import subprocess
import sys

import pytest

from sindri.formats import process_environment

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")


def exec_succeeds(environment: dict[bytes, bytes], program: str) -> bool:
    """Whether the kernel starts *program* with *environment*."""
    try:
        return subprocess.run([program], env=environment, check=False).returncode == 0
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise
        return False


@pytest.fixture
def program():
    return shutil.which("true")


@linux_only
def test_the_kernel_agrees_about_the_longest_string(program):
    longest = 131071 - len("NAME=")
    assert exec_succeeds({b"NAME": b"x" * longest}, program)
    assert not exec_succeeds({b"NAME": b"x" * (longest + 1)}, program)


def test_the_names_that_are_warned_about_are_those_that_steer_a_program():
    assert sorted(process_environment.WARNED_NAMES) == (
        ["BASH_ENV", "ENV", "HOME", "IFS", "LD_LIBRARY_PATH", "LD_PRELOAD", "PATH", "SHELL", "USER"]
    )


def container_refusal(name: str, value: bytes | memoryview) -> str | None:
    return process_environment.container_refusal(name, value, carrier="Docker Compose")


@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_what_no_container_can_have_is_refused_in_a_sentence_that_names_the_secret_and_the_way_out(kind):
    assert container_refusal("A", kind(b"hush\0")) == (
        'Secret A cannot be an environment variable: it contains a NUL byte. Use "source: file" with a mountPath.'
    )
    assert container_refusal("A", kind(b"hush\xff")) == (
        'Secret A is not valid UTF-8 text; Docker Compose carries text only. Use "source: file".'
    )
    assert container_refusal("A", kind(b"x" * 131070)) == (
        'Secret A is 131070 bytes; Linux allows at most 131071 for NAME=VALUE. Use "source: file" with a mountPath.'
    )


@pytest.mark.parametrize(
    "value", [b"", b"x" * 131069, "\u00e9\u2028\ufffd\U0001f600\ud7ff\ue000".encode() * 500, bytes(range(1, 128))]
)
@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_a_container_can_have_every_text_of_a_length_that_a_process_can_have(kind, value):
    assert container_refusal("A", kind(value)) is None


@pytest.mark.parametrize(
    "value",
    [b"\x80", b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xc3"],
)
def test_what_only_looks_like_utf8_is_refused_wherever_it_stands(value):
    for before in (b"", b"a" * 5000, "\u00e9".encode() * 1500):
        assert "not valid UTF-8" in str(container_refusal("A", before + value))


@pytest.mark.parametrize("name", ["TZ", "SSH_PORT", "INIT_WORKSPACE", "SINDRI_DIND_MODE", "SINDRI_DIND_"])
def test_a_name_that_sindri_sets_itself_is_refused(name):
    assert container_refusal(name, b"x") == f"Secret {name} has the same name as a variable Sindri sets itself."


@pytest.mark.parametrize("name", ["tz", "MY_TZ", "TZ_", "SINDRI_DIND", "SINDRI_TOKEN", "PATH"])
def test_another_name_is_not_refused(name):
    assert container_refusal(name, b"x") is None


def test_all_variables_of_a_container_together_have_a_limit():
    fits = 1_900_000 // 1009
    assert process_environment.container_total_refusal([1000] * fits) is None
    assert process_environment.container_total_refusal([1000] * (fits + 1)) == (
        f"The variables of the container need {1009 * (fits + 1)} bytes together; Linux allows about 1900000. "
        'Use "source: file" with a mountPath for the largest.'
    )


@linux_only
def test_the_kernel_starts_a_program_with_all_that_a_container_may_have(program):
    resource = pytest.importorskip("resource")
    stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
    if stack not in {8 * 1024 * 1024, resource.RLIM_INFINITY}:
        pytest.skip("the limit of the stack is not the usual 8 MiB")
    environment = {b"V%04d" % number: b"x" * 994 for number in range(1_900_000 // 1009)}
    sizes = [len(name) + 1 + len(value) for name, value in environment.items()]
    assert process_environment.container_total_refusal(sizes) is None
    assert exec_succeeds(environment, program)
