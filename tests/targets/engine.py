"""A real container engine for tests: Debian's dockerd in a network namespace of its own, and a static test image.

Needs root. Nothing of it is left afterwards: containers, mounts, the daemon and its folder go.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from tests.needs import missing, need_program

IMAGE = "localhost/sindri-test:1"
_TOOLS = ("sh", "cat", "env", "sleep", "ls", "tar", "id", "stat", "mkdir", "true", "false")
_START_S = 60.0


class Engine:
    """A running dockerd; *environment* makes `docker` and `docker compose` speak to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._daemon: subprocess.Popen[bytes] | None = None
        config = folder / "config"
        self.environment = {
            "DOCKER_HOST": f"unix://{folder}/engine.sock",
            "DOCKER_CONFIG": str(config),
            "HOME": str(folder),
        }
        plugins = config / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(find_compose())

    def start(self) -> None:
        """Start the daemon, wait until it answers, import the image."""
        log = open(self._folder / "dockerd.log", "wb")  # noqa: SIM115 -- the daemon keeps it
        # Its own network namespace: bridges and packet filter rules stay in there.
        self._daemon = subprocess.Popen(
            [
                *("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", "dockerd"),
                *("--data-root", f"{self._folder}/data", "--exec-root", f"{self._folder}/exec"),
                *("--pidfile", f"{self._folder}/dockerd.pid", "-H", self.environment["DOCKER_HOST"]),
                *("--storage-driver", "overlay2", "--exec-opt", "native.cgroupdriver=cgroupfs"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        deadline = time.monotonic() + _START_S
        while self.docker("version", check=False).returncode != 0:
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                tail = (self._folder / "dockerd.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"dockerd did not start:\n{tail}")
            time.sleep(0.05)
        self._import_image()

    def _import_image(self) -> None:
        root = self._folder / "image"
        for name in ("bin", "etc", "tmp", "root", "proc", "sys", "dev"):
            (root / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for tool in _TOOLS:
            (root / "bin" / tool).symlink_to("busybox")
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\nuser:x:1000:\n")
        archive = self._folder / "image.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(root, arcname=".")
        changes = ("-c", "ENV PATH=/bin", "-c", 'CMD ["/bin/sleep","600"]')
        self.docker("import", *changes, str(archive), IMAGE)

    def docker(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run `docker ARGUMENTS` against this engine."""
        return subprocess.run(
            ["docker", *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=check,
        )

    def environment_of(self, container: str) -> dict[bytes, bytes]:
        """Return the environment that the container's first process really has."""
        pid = int(self.docker("inspect", "-f", "{{.State.Pid}}", container).stdout)
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return dict(pair.split(b"=", 1) for pair in pairs if pair)

    def stop(self) -> None:
        """End everything that was started here."""
        if self._daemon is None:
            return
        containers = self.docker("ps", "-aq", check=False).stdout.decode().split()
        if containers:
            self.docker("rm", "-f", *containers, check=False)
        self._daemon.terminate()
        try:
            self._daemon.wait(30)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((one for one in mounts if one.startswith(f"{self._folder}/")), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)


def find_compose() -> str:
    """Return the path of the real Compose: that of the test requirement, beside this interpreter."""
    beside = Path(sys.executable).parent / "docker-compose"
    return str(beside) if beside.exists() else need_program("docker-compose")


def need_engine_programs() -> None:
    """End the test where no engine can run, saying what is missing."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        missing("root, which a container engine needs,")
    for program in ("dockerd", "docker", "unshare", "ip", "iptables", "runc"):
        need_program(program)
    if not Path("/bin/busybox").exists():
        missing("/bin/busybox (Debian: busybox-static)")
