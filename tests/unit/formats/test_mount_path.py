from __future__ import annotations

import pytest

from sindri.formats import mount_path


@pytest.mark.parametrize(
    "path",
    [
        "/etc/app/key.pem",
        "/run/secrets/a b",
        "/alt/home/developer/.ssh/id_ed25519",
        "/..a/b..",
        "/tmpfiles/x",
        "/etc/hosts.d/a",
        "/\u00e9\U0001f600",
        "/" + "x" * 255,
        "/x" * 2047,
    ],
)
def test_the_plain_path_of_a_file_is_accepted(path):
    assert mount_path.refusal(path) is None


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "not an absolute path"),
        ("etc/key", "not an absolute path"),
        ("~/key", "not an absolute path"),
        ("C:\\key", "not an absolute path"),
        ("/", "plain path of a file"),
        ("/etc/", "plain path of a file"),
        ("/etc//key", "plain path of a file"),
        ("//tmp/key", "plain path of a file"),
        ("/./tmp/key", "plain path of a file"),
        ("/etc/.", "plain path of a file"),
        ("/etc/../key", "`..`"),
        ("/..", "`..`"),
        ("/a\nb", "control character"),
        ("/a\0b", "control character"),
        ("/a\x7f", "control character"),
        ("/a\x85b", "control character"),
        ("/" + "\u00e9" * 128, "too long"),
        ("/x" * 2048, "too long"),
        ("/tmp", "/tmp is memory"),
        ("/tmp/key", "/tmp is memory"),
        ("/dev/shm/key", "/dev is the container engine's own"),
        ("/proc/1/environ", "/proc is the container engine's own"),
        ("/sys/key", "/sys is the container engine's own"),
        ("/etc/hosts", "/etc/hosts is the container engine's own"),
        ("/etc/resolv.conf", "/etc/resolv.conf is the container engine's own"),
    ],
)
def test_a_path_where_no_file_would_arrive_is_refused(path, reason):
    assert reason in str(mount_path.refusal(path))


def test_the_users_own_memory_and_volumes_are_places_that_are_refused_too():
    assert mount_path.refusal("/scratch/a/key", tmpfs=["/tmp", "/scratch/"]) == (
        "/scratch/ is memory, which hides what was put there before the container's start"
    )
    assert mount_path.refusal("/data", volumes=["/data/"]) == "a volume is mounted there"
    assert mount_path.refusal("/data/key", volumes=["/data"]) is None
