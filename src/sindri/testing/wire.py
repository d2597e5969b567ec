"""`FaultProxy`: a TCP proxy on loopback that behaves like a distant or broken network.

It stands between a client and a server and never looks inside, so it works for TLS too. One thread serves the port and
one each connection; nothing waits on a clock but what is meant to be late.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import threading
import time
from collections import deque

from sindri.model import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_RECEIVE_BYTES = 64 * 1024
_LONGEST_QUEUE_BYTES = 1024 * 1024  # more is left to the kernel, which then slows the sender down as a network would
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_INTERIM = b"HTTP/1.1 100"  # "go on with the body" (RFC 9110, 15.2.1) is not the answer that is to be lost


class Fault(Value):
    """How one connection behaves; the default is a good network. Several fields may be set at once.

    *round_trip_s* is added to every exchange, half each way, and once more for the connect. *rate_bytes_s* is the
    bandwidth each way. *refuse* resets right after the accept, *black_hole* accepts and never answers.
    *reset_request_after* and *reset_after* reset the connection (RST) when so many bytes of the request or of the
    answer have passed, *close_after* closes it in good order (FIN) and *stall_after* falls silent there.
    *corrupt_at* flips a bit of that byte of the answer, counted from 0. *lose_answer* resets the connection instead
    of giving the answer to its Nth request: the server has done what was asked and nobody says so. A request is
    counted when bytes go up after bytes came down, which is right for HTTP/1.1 without TLS; through TLS, whose
    handshake has turns of its own, use *reset_after*.
    """

    round_trip_s: float = 0.0
    rate_bytes_s: float | None = None
    refuse: bool = False
    black_hole: bool = False
    reset_request_after: int | None = None
    reset_after: int | None = None
    close_after: int | None = None
    stall_after: int | None = None
    corrupt_at: int | None = None
    lose_answer: int | None = None


GOOD = Fault()


class Connection(Value):
    """What became of one connection: its number from 1, bytes up and down, requests begun, and how it ended.

    *end* is "closed", "cut", the fault's field ("refuse", "reset_after", ...), or the class of the error that ended it.
    """

    number: int
    up_bytes: int
    down_bytes: int
    requests: int
    end: str


class FaultProxy:
    """Forwards a port of its own (`host`, `port`) to a server on loopback.

    *fault* is how connections behave that are made from now on; it may be set at any time. `enqueue` says it for the
    next ones only. `close_port` makes connecting fail until `open_port`, and `cut_connections` resets the open ones.
    A context manager; on exit the port is closed and every connection reset.
    """

    def __init__(self, upstream_host: str, upstream_port: int, *, fault: Fault = GOOD) -> None:
        if upstream_host not in _LOOPBACK:
            raise ValueError(f"the proxy speaks to loopback only, not to {upstream_host}")
        self.upstream = (upstream_host, upstream_port)
        self.fault = fault
        self.host = "127.0.0.1"
        self.port = 0
        self._script: deque[Fault] = deque()
        self._changed = threading.Condition()
        self._open: list[_Line] = []
        self._ended: list[Connection] = []
        self._accepted = 0
        self._threads: list[threading.Thread] = []
        self._door: _Door | None = None

    def enqueue(self, *faults: Fault) -> None:
        """Say how the next connections behave, one fault each; `self.fault` holds again after them."""
        with self._changed:
            self._script.extend(faults)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections that have ended, in the order they were made."""
        with self._changed:
            return tuple(sorted(self._ended, key=lambda connection: connection.number))

    def wait_for_accepted(self, count: int, *, timeout_s: float = 10.0) -> None:
        """Return as soon as *count* connections were accepted.

        Raises:
            TimeoutError: there are not so many.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._accepted >= count, timeout_s):
                raise TimeoutError(f"{self._accepted} of {count} connections were made")

    def wait_for_ended(self, count: int, *, timeout_s: float = 10.0) -> tuple[Connection, ...]:
        """Return the ended connections as soon as there are *count* of them.

        Raises:
            TimeoutError: there are not so many.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._ended) >= count, timeout_s):
                raise TimeoutError(f"{len(self._ended)} of {count} connections have ended")
        return self.connections

    def close_port(self) -> None:
        """Refuse connections as a machine does on which nothing listens. Open ones go on."""
        if self._door is not None:
            self._door.close()
            self._door = None

    def open_port(self) -> None:
        """Listen again, on the same port."""
        if self._door is None:
            self._door = _Door(self, self.host, self.port)
            self.port = self._door.port
            self._door.thread.start()

    def cut_connections(self) -> None:
        """Reset the open connections, as when a server restarts under a client that keeps connections."""
        with self._changed:
            lines = list(self._open)
        for line in lines:
            line.cut()

    def __enter__(self) -> Self:
        self.open_port()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close_port()
        self.cut_connections()
        for thread in self._threads:
            thread.join()

    def _admit(self, client: socket.socket) -> None:
        with self._changed:
            self._accepted += 1
            fault = self._script.popleft() if self._script else self.fault
            line = _Line(self, self._accepted, client, fault)
            self._open.append(line)
            thread = threading.Thread(target=line.run, name=f"fault-proxy-{self.port}-{line.number}", daemon=True)
            self._threads.append(thread)
            self._changed.notify_all()
        thread.start()

    def _record(self, line: _Line, ended: Connection) -> None:
        with self._changed:
            self._open.remove(line)
            self._ended.append(ended)
            self._changed.notify_all()


class _Door:
    """The listening socket and the thread that waits at it."""

    def __init__(self, proxy: FaultProxy, host: str, port: int) -> None:
        self._proxy = proxy
        self._listener = socket.create_server((host, port), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._bell, self._ringer = socket.socketpair()
        self.thread = threading.Thread(target=self._serve, name=f"fault-proxy-{self.port}", daemon=True)

    def close(self) -> None:
        """Stop listening. Connections that nobody accepted yet are reset by the kernel."""
        self._ringer.close()
        self.thread.join()

    def _serve(self) -> None:
        with self._listener, self._bell:
            while True:
                ready, _, _ = select.select([self._listener, self._bell], [], [])
                if self._bell in ready:
                    return
                client, _address = self._listener.accept()
                self._proxy._admit(client)  # noqa: SLF001 -- the door is a part of the proxy


# --- one connection -----------------------------------------------------------------------------------------------


class _Way:
    """One direction of a connection: bytes that were received and are due at the other end later."""

    def __init__(self, source: socket.socket, sink: socket.socket, fault: Fault, *, extra_s: float) -> None:
        self.source = source
        self.sink = sink
        self.passed_bytes = 0
        self.has_ended = False
        self.is_finished = False
        self._delay_s = fault.round_trip_s / 2
        self._extra_s = extra_s
        self._rate = fault.rate_bytes_s
        self._free_at = 0.0
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._waiting_bytes = 0

    def wants_more(self) -> bool:
        return not self.has_ended and self._waiting_bytes < _LONGEST_QUEUE_BYTES

    def due(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None

    def take(self, now: float) -> bytes:
        """Receive once; what came is returned, and waits until it is due. Nothing means the source has closed."""
        data = self.source.recv(_RECEIVE_BYTES)
        if not data:
            self.has_ended = True
        arrival = max(self._free_at, now + self._delay_s + self._extra_s)
        self._extra_s = 0.0
        if self._rate is None:
            pieces = [data]
        else:  # small pieces, so that the bytes drip instead of coming in lumps
            size = max(1, int(self._rate / 50))
            pieces = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
        for piece in pieces:
            if self._rate is not None:
                arrival += len(piece) / self._rate
            self._waiting.append((arrival, piece))
            self._waiting_bytes += len(piece)
        self._free_at = arrival
        return data

    def next_piece(self) -> bytes:
        _due, piece = self._waiting.popleft()
        self._waiting_bytes -= len(piece)
        return piece

    def pass_on(self, piece: bytes, *, limit: int | None = None, corrupt_at: int | None = None) -> bool:
        """Send *piece*, or its end where nothing is left; return whether *limit* bytes have passed."""
        if not piece and limit != self.passed_bytes:
            self.is_finished = True
            self.sink.shutdown(socket.SHUT_WR)
            return False
        allowed = piece if limit is None else piece[: limit - self.passed_bytes]
        if corrupt_at is not None and 0 <= corrupt_at - self.passed_bytes < len(allowed):
            flipped = bytearray(allowed)
            flipped[corrupt_at - self.passed_bytes] ^= 1
            allowed = bytes(flipped)
        sent = self.sink.send(allowed) if allowed else 0
        self.passed_bytes += sent
        if limit == self.passed_bytes:
            return True
        if sent < len(piece):
            rest = piece[sent:]  # the sink is full; as it came, for a bit that was flipped is flipped again
            self._waiting.appendleft((0.0, rest))
            self._waiting_bytes += len(rest)
        return False


class _Line:
    """A client, the server, and what lies between them."""

    def __init__(self, proxy: FaultProxy, number: int, client: socket.socket, fault: Fault) -> None:
        self.number = number
        self._proxy = proxy
        self._client = client
        self._fault = fault
        self._server: socket.socket | None = None
        self._was_cut = threading.Event()
        self._requests = 0
        self._is_answering = True  # the first bytes up begin a request
        self._up: _Way | None = None
        self._down: _Way | None = None

    def cut(self) -> None:
        """Reset the connection from another thread, which wakes the one that serves it."""
        self._was_cut.set()
        try:
            self._client.shutdown(socket.SHUT_RD)  # not SHUT_WR: that would send a FIN before the RST
        except OSError:
            return

    def run(self) -> None:
        try:
            end = self._serve()
        except OSError as error:
            end = type(error).__name__
        if self._was_cut.is_set():
            end = "cut"
        for side in (self._client, self._server):
            if side is not None and end in ("closed", "close_after"):
                side.close()
            elif side is not None:
                reset(side)
        self._proxy._record(  # noqa: SLF001 -- the line is a part of the proxy
            self,
            Connection(
                number=self.number,
                up_bytes=self._up.passed_bytes if self._up else 0,
                down_bytes=self._down.passed_bytes if self._down else 0,
                requests=self._requests,
                end=end,
            ),
        )

    def _serve(self) -> str:
        if self._fault.refuse:
            return "refuse"
        if self._fault.black_hole:
            self._keep_silent()
            return "black_hole"
        self._server = socket.create_connection(self._proxy.upstream)
        for end in (self._client, self._server):
            end.setblocking(False)  # noqa: FBT003 -- that is its signature
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._up = _Way(self._client, self._server, self._fault, extra_s=self._fault.round_trip_s)
        self._down = _Way(self._server, self._client, self._fault, extra_s=0.0)
        return self._forward(self._up, self._down)

    def _forward(self, up: _Way, down: _Way) -> str:
        ways = (up, down)
        while not (up.is_finished and down.is_finished):
            now = time.monotonic()
            dues = {way: due for way in ways if (due := way.due()) is not None}
            readers = [way.source for way in ways if way.wants_more()]
            writers = [way.sink for way, due in dues.items() if due <= now]
            later = [due - now for due in dues.values() if due > now]
            readable, writable, _ = select.select(readers, writers, [], min(later, default=None))
            if self._was_cut.is_set():
                return "cut"
            for way in ways:
                if way.source in readable:
                    data = way.take(time.monotonic())
                    if way is up and data:
                        self._count_request()
                if way.sink in writable and way in dues:
                    end = self._pass_up(way) if way is up else self._pass_down(way)
                    if end:
                        return end
        return "closed"

    def _count_request(self) -> None:
        if self._is_answering:
            self._is_answering = False
            self._requests += 1

    def _pass_up(self, way: _Way) -> str:
        limit = self._fault.reset_request_after
        return "reset_request_after" if way.pass_on(way.next_piece(), limit=limit) else ""

    def _pass_down(self, way: _Way) -> str:
        piece, fault = way.next_piece(), self._fault
        if piece and not piece.startswith(_INTERIM):
            if fault.lose_answer is not None and self._requests >= fault.lose_answer:
                return "lose_answer"
            self._is_answering = True
        for end in ("reset_after", "close_after", "stall_after"):
            limit = getattr(fault, end)
            if limit is not None:
                has_passed = way.pass_on(piece, limit=limit, corrupt_at=fault.corrupt_at)
                if has_passed and end == "stall_after":
                    self._keep_silent()
                return end if has_passed else ""
        way.pass_on(piece, corrupt_at=fault.corrupt_at)
        return ""

    def _keep_silent(self) -> None:
        """Take what the client sends and say nothing, until it gives up."""
        self._client.setblocking(True)  # noqa: FBT003 -- that is its signature
        try:
            while self._client.recv(_RECEIVE_BYTES):
                continue
        except ConnectionError:
            return  # it gave up with a reset


def reset(connection: socket.socket) -> None:
    """Close *connection* with RST instead of FIN, so that its peer sees an error and not an end."""
    # SO_LINGER with a time of zero (socket(7)). Windows has two shorts where others have two ints.
    layout = "hh" if sys.platform == "win32" else "ii"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(layout, 1, 0))
    connection.close()
