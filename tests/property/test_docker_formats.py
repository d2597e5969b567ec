"""What is made for Docker is read back by others with the same bytes: PyYAML, the tar of Python, GNU and busybox."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sindri.formats import compose_env, mount_path, tar_archive, yaml_text
from sindri.formats.tar_archive import ArchivedFile, TarFormatError
from tests.needs import need_program

text = st.text(st.characters(exclude_categories=["Cs"]))
tricky = st.text("aeEyYnN01.:_+-~#'\"\\ \t\n\r,&*!|>%@`=<[]{}?\x00\x85\xa0\u2028\ufeff\U0001f600")
documents = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), text, tricky),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.one_of(text, tricky).map(lambda key: key[:99]), inner, max_size=5),
    ),
)

# No control characters, and ends that a listing shows: what `mount_path` lets through.
parts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=60).filter(
    lambda part: part not in {".", ".."} and len(part.encode()) <= 255
)
paths = st.lists(st.one_of(parts, st.sampled_from([".ssh", "home", "x" * 99, "y" * 255])), min_size=1, max_size=6)
files = st.builds(
    ArchivedFile,
    name=paths.map("/".join),
    content=st.one_of(st.binary(max_size=2000), st.sampled_from([bytes(512), b"x" * 511, b"x" * 513])),
    mode=st.integers(0, 0o777),
    uid=st.one_of(st.sampled_from([0, 1001, 8**7 - 1, 8**7, 2**32 - 2]), st.integers(0, 2**32 - 2)),
    gid=st.one_of(st.sampled_from([0, 1001, 8**7 - 1, 8**7, 2**32 - 2]), st.integers(0, 2**32 - 2)),
)


def numbered(found: list[ArchivedFile]) -> list[ArchivedFile]:
    """Return the files in a folder each, so that the name of none is a folder of another."""
    return [
        ArchivedFile(name=f"{number}/{file.name}", content=file.content, mode=file.mode, uid=file.uid, gid=file.gid)
        for number, file in enumerate(found)
    ]


archives = st.lists(files, max_size=6).map(numbered)


@given(value=documents, comment=text)
@example(value={"a": [[], {}, [[1]], {"b": {}}]}, comment="")
@example(value="\ufeff", comment="\ufeff---\n...\n%YAML 9")
def test_pyyaml_reads_the_same_for_arbitrary_values(value, comment):
    rendered = yaml_text.render(value, comment=comment)
    assert yaml.safe_load(rendered) == value
    # As bytes, as a file is read.
    assert yaml.safe_load(rendered.encode()) == value


@given(value=st.one_of(text, tricky))
def test_every_string_is_one_line_of_a_document(value):
    assert len(yaml_text.render(value).splitlines()) == 1


@given(value=st.binary(), name=st.one_of(st.text(), st.just("NAME")))
def test_compose_gets_one_line_for_a_secret_or_it_is_refused_with_a_reason(value, name):
    reason = compose_env.refusal(name, value)
    assert reason == compose_env.refusal(name, memoryview(value))
    if reason is None:
        rendered = b"".join(compose_env.render([(name, value)]))
        assert rendered.startswith(name.encode() + b'="')
        assert rendered.endswith(b'"\n')
        inside = rendered[len(name) + 2 : -2]
        assert not set(inside) & set(b'"\r\n')
        assert b"$" not in inside.replace(b"$$", b"")
    else:
        assert reason.isascii()


@given(value=st.binary())
def test_compose_is_given_what_python_too_calls_utf8_and_nothing_else(value):
    try:
        value.decode()
        is_text = True
    except UnicodeDecodeError:
        is_text = False
    assert (compose_env.refusal("A", value) is None) == (is_text and b"\0" not in value)


@given(found=archives)
def test_an_archive_is_read_as_it_was_written(found):
    assert tar_archive.read(b"".join(tar_archive.render(found))) == found


@given(found=archives)
def test_pythons_tar_reads_the_same(found):
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar_archive.render(found)))) as opened:
        got = [
            ArchivedFile(name=member.name, content=content.read(), mode=member.mode, uid=member.uid, gid=member.gid)
            for member in opened
            if (content := opened.extractfile(member)) is not None
        ]
    assert got == found


def extract(program: list[str], archive: bytes, folder: str) -> dict[str, tuple[int, bytes]]:
    """Return mode and content of every file that *program* makes of *archive* in *folder*."""
    subprocess.run([*program, "-xp", "-C", folder], input=archive, check=True, capture_output=True)
    got = {}
    for path in Path(folder).rglob("*"):
        if path.is_file():
            mode = path.stat().st_mode & 0o7777
            path.chmod(0o600)
            got[path.relative_to(folder).as_posix()] = (mode, path.read_bytes())
    return got


@pytest.mark.parametrize("program", [["tar", "--no-same-owner"], ["busybox", "tar", "-o"]], ids=["gnu", "busybox"])
@given(found=archives)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_tar_of_gnu_and_of_busybox_make_the_same_files(program, found):
    if program[0] == "busybox":
        # It reads no pax header, and so no name that needs one for its length.
        found = [file for file in found if len(file.name.encode()) <= 100]
    with tempfile.TemporaryDirectory() as folder:
        got = extract([need_program(program[0]), *program[1:]], b"".join(tar_archive.render(found)), folder)
    assert got == {file.name: (file.mode, file.content) for file in found}


@given(found=archives)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_gnus_tar_sees_the_same_owners(found):
    done = subprocess.run(
        [need_program("tar"), "-tv", "--numeric-owner", "--utc"],
        input=b"".join(tar_archive.render(found)),
        check=True,
        capture_output=True,
    )
    assert not done.stderr
    lines = [line.split() for line in done.stdout.decode().splitlines() if line.startswith("-")]
    assert [(line[1], line[2], line[3]) for line in lines] == [
        (f"{file.uid}/{file.gid}", str(len(file.content)), "1970-01-01") for file in found
    ]


@pytest.mark.parametrize(
    ("before", "after"), [(1, 99), (1, 100), (50, 49), (50, 50), (100, 100), (154, 99), (155, 1), (155, 100)]
)
def test_busybox_reads_a_long_name_that_the_two_fields_of_a_header_can_hold(before, after, tmp_path):
    name = "a" * before + "/" + "b" * after
    archive = b"".join(tar_archive.render([ArchivedFile(name=name, content=b"x", mode=0o600, uid=0, gid=0)]))
    assert b"PaxHeader" not in archive
    assert extract([need_program("busybox"), "tar", "-o"], archive, str(tmp_path)) == {name: (0o600, b"x")}


@pytest.mark.parametrize(("before", "after"), [(1, 101), (156, 1), (156, 100), (150, 101)])
def test_a_name_that_two_fields_cannot_hold_has_a_pax_header(before, after):
    file = ArchivedFile(name="a" * before + "/" + "b" * after, content=b"x", mode=0o600, uid=0, gid=0)
    archive = b"".join(tar_archive.render([file]))
    assert b"PaxHeader" in archive
    assert tar_archive.read(archive) == [file]


@given(found=archives, place=st.integers(0), byte=st.integers(0, 255), end=st.integers(0))
def test_a_damaged_archive_is_read_or_refused_and_nothing_else(found, place, byte, end):
    archive = bytearray(b"".join(tar_archive.render(found)))
    archive[place % len(archive)] = byte
    del archive[len(archive) - end % len(archive) :]
    with contextlib.suppress(TarFormatError):
        tar_archive.read(bytes(archive))


@given(path=st.one_of(st.text("/.tmpdevsa \n"), paths.map(lambda found: "/" + "/".join(found))))
def test_a_path_that_is_accepted_is_its_own_plain_form_and_lies_outside_of_memory(path):
    if mount_path.refusal(path) is None:
        assert os.path.normpath(path) == path
        assert path.startswith("/")
        assert not re.match(r"/tmp(/|$)", path)
