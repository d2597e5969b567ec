"""`DockerEngineDouble`: what `docker compose` and `docker cp` need of the Docker Engine API, without an engine.

Runs nothing and needs no root: it notes what a real engine would have been told, and gives back what was put. The paths
are those of the API's version 1.47; what it does not know gets 404 and a line in `unknown`.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
import threading
from http.server import BaseHTTPRequestHandler
from itertools import count
from socketserver import ThreadingMixIn, UnixStreamServer
from urllib.parse import parse_qsl, unquote, urlsplit

from sindri.model import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType
    from typing import Any, Self

_VERSION = "1.47"
_IMAGE_ENVIRONMENT = ("PATH=/bin",)
_MOMENT = "2024-01-01T00:00:00Z"
_GO_DIRECTORY = 1 << 31
"""The bit of Go's `fs.ModeDir`, as the header of an archive's path has it."""


class StoredFile(Value):
    """A file that was put into a container."""

    content: bytes
    mode: int
    uid: int
    gid: int

    def __repr__(self) -> str:
        return f"<StoredFile {self.mode:04o} {self.uid}:{self.gid}: content hidden>"


class DockerEngineDouble:
    """Answers on a unix socket while the context lasts; *environment* makes `docker` speak to it.

    *folder* becomes the clients' home. *images* are there already, every other is unknown and cannot be pulled.
    *compose* is the path of Docker Compose, for machines where it is not a plugin of `docker` already.
    """

    def __init__(self, folder: str | os.PathLike[str], *, images: Collection[str], compose: str = "") -> None:
        self._folder = os.path.abspath(folder)
        self._images = frozenset(images)
        self._compose = compose
        self._socket_folder = ""
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._state = _State(self._images)
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Self:
        plugins = os.path.join(self._folder, "config", "cli-plugins")
        os.makedirs(plugins, exist_ok=True)
        if self._compose:
            os.symlink(self._compose, os.path.join(plugins, "docker-compose"))
        # Not below *folder*: the name of a unix socket has at most 104 bytes, and a test's folder is long.
        self._socket_folder = tempfile.mkdtemp(prefix="engine-")
        path = os.path.join(self._socket_folder, "s")
        self.environment = {
            "DOCKER_HOST": f"unix://{path}",
            "DOCKER_CONFIG": os.path.join(self._folder, "config"),
            "HOME": self._folder,
        }
        self._server = _Server(path, self._state)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._state.ended.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        shutil.rmtree(self._socket_folder, ignore_errors=True)

    @property
    def requests(self) -> list[str]:
        """Method and path of every request so far, without the API's version and the query."""
        return list(self._state.requests)

    @property
    def unknown(self) -> list[str]:
        """Those of `requests` that no route answers: a client asked for more than this double knows."""
        return list(self._state.unknown)

    @property
    def containers(self) -> list[str]:
        """The names of the containers that exist."""
        return [one["Name"].lstrip("/") for one in self._state.containers.values()]

    @property
    def volumes(self) -> list[str]:
        """The names of the volumes that exist."""
        return list(self._state.volumes)

    def environment_of(self, container: str) -> dict[bytes, bytes]:
        """Return the variables that the container's first process would get, without those that the runtime adds.

        Raises:
            KeyError: there is no such container.
        """
        pairs = self._state.container(container)["Config"]["Env"]
        return dict(pair.encode("utf-8", "surrogateescape").split(b"=", 1) for pair in pairs)

    def files_of(self, container: str) -> dict[str, StoredFile]:
        """Return what was put into the container, by absolute path.

        Raises:
            KeyError: there is no such container.
        """
        return dict(self._state.files[self._state.container(container)["Id"]])


class _State:
    """What the engine knows. One lock for all of it: clients send requests side by side."""

    def __init__(self, images: frozenset[str]) -> None:
        self.images = images
        self.lock = threading.RLock()
        self.ended = threading.Event()
        self.numbers = count(1)
        self.containers: dict[str, dict[str, Any]] = {}
        self.networks: dict[str, dict[str, Any]] = {}
        self.volumes: dict[str, dict[str, Any]] = {}
        self.files: dict[str, dict[str, StoredFile]] = {}
        self.requests: list[str] = []
        self.unknown: list[str] = []

    def new_id(self) -> str:
        return f"{next(self.numbers):064x}"[::-1]

    def container(self, key: str) -> dict[str, Any]:
        with self.lock:
            for one in self.containers.values():
                if key in (one["Id"], one["Name"], one["Name"].lstrip("/"), one["Id"][:12]):
                    return one
        raise KeyError(key)


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: str, state: _State) -> None:
        super().__init__(path, _Handler)
        self.state = state

    def get_request(self) -> tuple[Any, Any]:
        # `http.server` wants an address with a host in it.
        return super().get_request()[0], ("engine", 0)


class _NotFoundError(Exception):
    """What a request names is not there."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name is the base class's
        """Say nothing: requests are in `requests`."""

    def _route(self) -> None:
        target = urlsplit(self.path)
        self._query = dict(parse_qsl(target.query, keep_blank_values=True))
        self._body = self._read_body()
        parts = [unquote(part) for part in re.sub(r"^/v1\.\d+(?=/)", "", target.path).strip("/").split("/")]
        state = self.server.state
        line = f"{self.command} /{'/'.join(parts)}"
        state.requests.append(line)
        if parts == ["events"]:
            self._keep_quiet()
            return
        answer = getattr(self, f"_on_{parts[0].lstrip('_')}", None)
        with state.lock:
            try:
                is_answered = answer is not None and answer(parts[1:])
            except (KeyError, _NotFoundError) as error:
                self._send(404, {"message": f"No such {parts[0].rstrip('s')}: {error.args[0]}"})
                return
        if not is_answered:
            state.unknown.append(line)
            self._send(404, {"message": f"the double of an engine does not know {line}"})

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _route  # noqa: N815 -- the names are those of `http.server`

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, status: int, answer: object = None, *, headers: dict[str, str] | None = None) -> bool:
        body = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Api-Version", _VERSION)
        self.send_header("Ostype", "linux")
        kind = "octet-stream" if isinstance(answer, bytes) else "json"
        self.send_header("Content-Type", f"application/{kind}")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return True

    def _keep_quiet(self) -> None:
        """Answer the stream of events, in which nothing ever happens, until the double ends."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()
        self.server.state.ended.wait()
        self.close_connection = True

    def _is_wanted(self, labels: dict[str, str], name: str) -> bool:
        """Return whether the query's filters let something with these labels and this name through."""
        filters = json.loads(self._query.get("filters") or "{}")
        pairs = {*labels, *(f"{key}={value}" for key, value in labels.items())}
        names = list(filters.get("name", ()))
        return pairs.issuperset(filters.get("label", ())) and (not names or any(one in name for one in names))

    def _on_ping(self, _rest: list[str]) -> bool:
        return self._send(200, b"OK")

    def _on_version(self, _rest: list[str]) -> bool:
        words = {"Version": "27.0.0", "ApiVersion": _VERSION, "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"}
        return self._send(200, words)

    def _on_info(self, _rest: list[str]) -> bool:
        runtimes: dict[str, object] = {"runc": {}}
        words = {"OSType": "linux", "ServerVersion": "27.0.0", "Runtimes": runtimes, "DefaultRuntime": "runc"}
        return self._send(200, {**words, "Driver": "overlay2", "NCPU": 8, "MemTotal": 1 << 34})

    def _on_images(self, rest: list[str]) -> bool:
        if rest == ["json"]:
            return self._send(200, [])
        if rest == ["create"]:
            raise _NotFoundError(self._query.get("fromImage", ""))
        name = "/".join(rest[:-1])
        if rest[-1] != "json":
            return False
        if name not in self.server.state.images:
            raise _NotFoundError(name)
        config = {"Env": list(_IMAGE_ENVIRONMENT), "Labels": {}}
        words = {"Id": f"sha256:{name.encode().hex():0<64.64}", "RepoTags": [name], "Created": _MOMENT}
        return self._send(200, {**words, "Config": config, "Os": "linux", "Architecture": "amd64"})

    def _on_networks(self, rest: list[str]) -> bool:
        return self._keep(self.server.state.networks, rest, as_list=lambda found: found)

    def _on_volumes(self, rest: list[str]) -> bool:
        return self._keep(self.server.state.volumes, rest, as_list=lambda found: {"Volumes": found})

    def _keep(self, things: dict[str, dict[str, Any]], rest: list[str], *, as_list: Any) -> bool:
        """Answer for networks or volumes, which are nothing but a name and labels here."""
        if not rest or not rest[0]:
            found = [one for one in things.values() if self._is_wanted(one["Labels"], one["Name"])]
            return self._send(200, as_list(found))
        if rest == ["create"]:
            wish = json.loads(self._body)
            thing = {"Id": self.server.state.new_id(), "Name": wish["Name"], "Labels": wish.get("Labels") or {}}
            thing |= {"Driver": wish.get("Driver") or "local", "Scope": "local", "Mountpoint": ""}
            things[wish["Name"]] = thing
            return self._send(201, thing)
        name = next((name for name, one in things.items() if rest[0] in (name, one["Id"])), rest[0])
        if self.command == "DELETE":
            del things[name]
            return self._send(204)
        return self._send(200, things[name])

    def _on_containers(self, rest: list[str]) -> bool:  # noqa: PLR0911 -- one for each request
        state = self.server.state
        if rest == ["json"]:
            return self._send(200, self._listed())
        if rest == ["create"]:
            return self._create()
        container = state.container(rest[0])
        action = "/".join(rest[1:])
        if self.command == "DELETE":
            del state.containers[container["Id"]], state.files[container["Id"]]
            return self._send(204)
        if action == "json":
            return self._send(200, container)
        if action in ("start", "restart"):
            container["State"] |= {"Status": "running", "Running": True}
        elif action in ("stop", "kill"):
            container["State"] |= {"Status": "exited", "Running": False}
        elif action == "rename":
            container["Name"] = f"/{self._query['name']}"
        elif action == "wait":
            return self._send(200, {"StatusCode": 0})
        elif action == "archive":
            return self._archive(state.files[container["Id"]])
        else:
            return False
        return self._send(204)

    def _listed(self) -> list[dict[str, Any]]:
        is_all = self._query.get("all") in ("1", "true")
        found = [one for one in self.server.state.containers.values() if is_all or one["State"]["Running"]]
        return [_summary(one) for one in found if self._is_wanted(one["Config"]["Labels"], one["Name"])]

    def _create(self) -> bool:
        state = self.server.state
        wish = json.loads(self._body)
        name = self._query.get("name") or f"c{len(state.requests)}"
        if any(one["Name"] == f"/{name}" for one in state.containers.values()):
            return self._send(409, {"message": f'The container name "/{name}" is already in use'})
        if wish["Image"] not in state.images:
            raise _NotFoundError(wish["Image"])
        known = {pair.split("=", 1)[0] for pair in wish.get("Env") or ()}
        inherited = [pair for pair in _IMAGE_ENVIRONMENT if pair.split("=", 1)[0] not in known]
        identifier = state.new_id()
        config = {"Image": wish["Image"], "Labels": wish.get("Labels") or {}, "Tty": wish.get("Tty", False)}
        state.containers[identifier] = {
            "Id": identifier,
            "Name": f"/{name}",
            "Image": "sha256:0",
            "Created": _MOMENT,
            "RestartCount": 0,
            "Config": {**config, "Env": [*inherited, *(wish.get("Env") or ())]},
            "State": {"Status": "created", "Running": False, "ExitCode": 0, "StartedAt": _MOMENT},
            "HostConfig": wish.get("HostConfig") or {},
            "NetworkSettings": {"Networks": {}},
            "Mounts": [],
        }
        state.files[identifier] = {}
        return self._send(201, {"Id": identifier, "Warnings": []})

    def _archive(self, files: dict[str, StoredFile]) -> bool:
        path = os.path.normpath(f"/{self._query['path'].lstrip('/')}")
        if self.command == "PUT":
            files |= _unpacked(path, self._body)
            return self._send(200)
        if path in files:
            mode, size = files[path].mode, len(files[path].content)
        elif path == "/" or any(name.startswith(f"{path}/") for name in files):
            mode, size = 0o755 | _GO_DIRECTORY, 4096
        else:
            raise _NotFoundError(path)
        stat = {"name": os.path.basename(path) or "/", "size": size, "mode": mode, "mtime": _MOMENT, "linkTarget": ""}
        headers = {"X-Docker-Container-Path-Stat": base64.b64encode(json.dumps(stat).encode()).decode()}
        body = _packed(path, files[path]) if self.command == "GET" and path in files else b""
        return self._send(200, body, headers=headers)


def _summary(container: dict[str, Any]) -> dict[str, Any]:
    """Return a container as the list of all has it: flatter than when it is asked for alone."""
    config = container["Config"]
    words = {"Names": [container["Name"]], "State": container["State"]["Status"], "Status": "", "Created": 1}
    return {"Id": container["Id"], "Image": config["Image"], "Labels": config["Labels"], "Mounts": [], **words}


def _unpacked(folder: str, archive: bytes) -> dict[str, StoredFile]:
    """Return the files of an archive, by the path that each has once it is unpacked in *folder*."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is not None:
                path = os.path.normpath(os.path.join(folder, member.name))
                found[path] = StoredFile(content=stream.read(), mode=member.mode, uid=member.uid, gid=member.gid)
    return found


def _packed(path: str, file: StoredFile) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo(os.path.basename(path))
        member.size, member.mode, member.uid, member.gid = len(file.content), file.mode, file.uid, file.gid
        tar.addfile(member, io.BytesIO(file.content))
    return archive.getvalue()
