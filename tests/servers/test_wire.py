"""The doubles of the network break things exactly where they are told to, on real sockets."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time

import pytest

from sindri.testing.certificates import CertificateError, ThrowawayAuthority
from sindri.testing.web import Reply, ScriptedHttpServer
from sindri.testing.wire import Fault, FaultProxy, _Way, reset
from tests.needs import need_program

BODY = bytes(range(256)) * 40


@pytest.fixture
def server():
    with ScriptedHttpServer(lambda request: Reply(body=request.body or BODY)) as running:
        yield running


@pytest.fixture
def proxy(server):
    with FaultProxy(server.host, server.port) as running:
        yield running


@pytest.fixture(scope="module")
def authority():
    need_program("openssl")
    with ThrowawayAuthority() as made:
        yield made


def get(target, path="/", *, method="GET", body=None, context=None, timeout=10):
    """Return status and body of one request on a connection of its own."""
    if context is None:
        connection = http.client.HTTPConnection(target.host, target.port, timeout=timeout)
    else:
        connection = http.client.HTTPSConnection(target.host, target.port, timeout=timeout, context=context)
    with contextlib.closing(connection):
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        return answer.status, answer.read()


def receive_all(target, request=b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
    """Return the bytes that came, and the error that ended them or None."""
    received = b""
    try:
        with socket.create_connection((target.host, target.port), timeout=10) as connection:
            connection.sendall(request)
            while data := connection.recv(65536):
                received += data
    except OSError as error:
        return received, error
    return received, None


# --- the proxy ------------------------------------------------------------------------------------------------------


def test_without_a_fault_every_byte_passes_and_is_counted(proxy):
    assert get(proxy, body=BODY * 50, method="PUT") == (200, BODY * 50)
    [connection] = proxy.wait_for_ended(1)
    assert connection.end == "closed"
    assert connection.up_bytes > len(BODY * 50) < connection.down_bytes
    assert (connection.number, connection.requests) == (1, 1)


def test_a_large_body_passes_both_ways_through_a_client_that_reads_late(proxy):
    size = 8 * 1024 * 1024
    with socket.create_connection((proxy.host, proxy.port), timeout=20) as connection:
        connection.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size)
        connection.sendall(bytes(size))
        received = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    assert received.endswith(b"\r\n\r\n" + bytes(size))


def test_a_round_trip_delays_the_connect_and_every_exchange(server):
    with FaultProxy(server.host, server.port, fault=Fault(round_trip_s=0.05)) as proxy:
        connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=10)
        with contextlib.closing(connection):
            begin = time.monotonic()
            for _ in range(3):
                connection.request("GET", "/")
                connection.getresponse().read()
            # A lower bound only: the double must never be faster than it was told. 3 exchanges and the connect.
            assert time.monotonic() - begin >= 4 * 0.05
    assert len({request.connection for request in server.requests}) == 1


def test_a_bandwidth_is_never_exceeded(server):
    with FaultProxy(server.host, server.port, fault=Fault(rate_bytes_s=100_000)) as proxy:
        begin = time.monotonic()
        assert get(proxy) == (200, BODY)
        assert time.monotonic() - begin >= len(BODY) / 100_000


def test_a_closed_port_refuses_and_an_open_one_answers_again_on_the_same_port(proxy):
    port = proxy.port
    proxy.close_port()
    with pytest.raises(ConnectionRefusedError):
        get(proxy)
    proxy.open_port()
    assert (get(proxy)[0], proxy.port) == (200, port)


def test_a_closed_port_leaves_open_connections_alone(proxy):
    connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=10)
    with contextlib.closing(connection):
        for step in (proxy.close_port, lambda: None):
            connection.request("GET", "/")
            assert connection.getresponse().read() == BODY
            step()


def test_a_refused_connection_is_reset_before_the_server_hears_of_it(server, proxy):
    proxy.fault = Fault(refuse=True)
    received, error = receive_all(proxy)
    assert received == b""
    assert isinstance(error, ConnectionError)
    assert server.requests == ()
    assert proxy.wait_for_ended(1)[0].end == "refuse"


@pytest.mark.parametrize("limit", [0, 1, 100, 5000])
def test_an_answer_is_reset_after_exactly_so_many_bytes(limit, proxy):
    proxy.fault = Fault(reset_after=limit)
    received, error = receive_all(proxy)
    assert len(received) == limit
    assert isinstance(error, ConnectionResetError)
    assert proxy.wait_for_ended(1)[0].down_bytes == limit


@pytest.mark.parametrize("limit", [0, 1, 100, 5000])
def test_an_answer_is_closed_after_exactly_so_many_bytes(limit, proxy):
    proxy.fault = Fault(close_after=limit)
    received, error = receive_all(proxy)
    assert (len(received), error) == (limit, None)


def test_a_request_is_reset_after_exactly_so_many_bytes(server, proxy):
    proxy.fault = Fault(reset_request_after=1000)
    with pytest.raises(ConnectionError):
        get(proxy, method="PUT", body=BODY * 100)
    [connection] = proxy.wait_for_ended(1)
    assert (connection.up_bytes, connection.down_bytes, connection.end) == (1000, 0, "reset_request_after")
    assert server.requests == ()


@pytest.mark.parametrize(("fault", "expected"), [(Fault(black_hole=True), 0), (Fault(stall_after=60), 60)])
def test_a_silent_connection_gives_no_more_bytes_and_no_end(fault, expected, proxy):
    proxy.fault = fault
    with socket.create_connection((proxy.host, proxy.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while len(received) < expected:
            received += connection.recv(65536)
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert len(received) == expected
    assert proxy.wait_for_ended(1)[0].end == ("black_hole" if fault.black_hole else "stall_after")


def test_one_bit_of_one_byte_is_flipped_and_the_rest_is_as_it_was(proxy):
    good, _ = receive_all(proxy)
    at = good.index(b"\r\n\r\n") + 4 + 300
    proxy.fault = Fault(corrupt_at=at)
    bad, error = receive_all(proxy)
    assert error is None
    assert [position for position, (x, y) in enumerate(zip(good, bad, strict=True)) if x != y] == [at]
    assert bad[at] == good[at] ^ 1


def test_a_flipped_bit_stays_flipped_where_a_full_client_takes_a_piece_in_parts():
    piece = bytes(4 * 1024 * 1024)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as sink:
        client, _ = listener.accept()
        with client:
            sink.setblocking(False)
            way = _Way(client, sink, Fault(), extra_s=0)
            way.pass_on(piece, corrupt_at=len(piece) - 1)
            assert 0 < way.passed_bytes < len(piece)  # more than the kernel takes at once, or this proves nothing
            received = bytearray()
            while len(received) < len(piece):
                while way.due() is not None and len(received) == way.passed_bytes:
                    way.pass_on(way.next_piece(), corrupt_at=len(piece) - 1)
                received += client.recv(1 << 20)
    assert received == piece[:-1] + b"\x01"


def test_a_client_that_gives_up_a_silent_connection_with_a_reset_is_no_error(proxy):
    proxy.fault = Fault(black_hole=True)
    connection = socket.create_connection((proxy.host, proxy.port), timeout=10)
    proxy.wait_for_accepted(1)
    reset(connection)
    assert proxy.wait_for_ended(1)[0].end == "black_hole"


@pytest.mark.parametrize("which", [1, 3])
def test_a_lost_answer_belongs_to_a_request_that_the_server_has_done(which, server, proxy):
    proxy.fault = Fault(lose_answer=which)
    connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=10)
    with contextlib.closing(connection):
        for _ in range(which - 1):
            connection.request("PUT", "/kept", body=b"v")
            assert connection.getresponse().read() == b"v"
        connection.request("PUT", "/lost", body=b"v")
        with pytest.raises(ConnectionResetError):
            connection.getresponse()
    assert [request.path for request in server.requests] == ["/kept"] * (which - 1) + ["/lost"]
    assert proxy.wait_for_ended(1)[0].requests == which


def test_the_word_to_go_on_with_the_body_is_not_the_answer_that_is_lost(server, proxy):
    proxy.fault = Fault(lose_answer=1)
    head = b"PUT /big HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    with socket.create_connection((proxy.host, proxy.port), timeout=10) as connection:
        connection.sendall(head)
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"body")
        with pytest.raises(ConnectionResetError):
            connection.recv(65536)
    assert server.requests[0].body == b"body"


def test_queued_faults_meet_one_connection_each_and_then_the_standing_one_holds(proxy):
    proxy.enqueue(Fault(refuse=True), Fault(), Fault(close_after=0))
    ends: list[str] = []
    for _ in range(4):
        receive_all(proxy)
        ends.append(proxy.wait_for_ended(len(ends) + 1)[-1].end)
    assert ends == ["refuse", "closed", "close_after", "closed"]


def test_open_connections_can_be_cut_under_a_client_that_keeps_them(proxy):
    connection = http.client.HTTPConnection(proxy.host, proxy.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        connection.getresponse().read()
        proxy.cut_connections()
        assert proxy.wait_for_ended(1)[0].end == "cut"
        assert isinstance(connection.sock, socket.socket)
        with pytest.raises(ConnectionResetError):
            connection.sock.recv(1)
    assert get(proxy)[0] == 200


def test_a_server_that_is_not_there_resets_the_client():
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    with FaultProxy("127.0.0.1", port) as proxy:
        _, error = receive_all(proxy)
        assert isinstance(error, ConnectionError)
        assert proxy.wait_for_ended(1)[0].end == "ConnectionRefusedError"


def test_many_connections_at_once_are_all_served(proxy):
    results = []
    threads = [threading.Thread(target=lambda: results.append(get(proxy))) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [(200, BODY)] * 30
    assert len(proxy.wait_for_ended(30)) == 30


def test_the_proxy_leaves_no_thread_and_no_connection_behind(server):
    before = set(threading.enumerate())
    with FaultProxy(server.host, server.port, fault=Fault(black_hole=True)) as proxy:
        connection = socket.create_connection((proxy.host, proxy.port), timeout=10)
        proxy.wait_for_accepted(1)
    with connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
    assert {thread for thread in threading.enumerate() if thread.name.startswith("fault-proxy")} <= before


def test_the_proxy_speaks_to_loopback_only():
    with pytest.raises(ValueError, match=r"loopback only, not to 192\.0\.2\.1"):
        FaultProxy("192.0.2.1", 80)


def test_awaiting_connections_that_never_end_is_an_error(proxy):
    with pytest.raises(TimeoutError, match="0 of 1 connections were made"):
        proxy.wait_for_accepted(1, timeout_s=0.01)
    with pytest.raises(TimeoutError, match="0 of 1 connections have ended"):
        proxy.wait_for_ended(1, timeout_s=0.01)


# --- the HTTP server ------------------------------------------------------------------------------------------------


def test_a_request_is_noted_with_its_method_path_headers_and_body(server):
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("PATCH", "/a/b?c=d", body=b"text", headers={"X-Vault-Token": "t"})
        connection.getresponse().read()
        connection.request(
            "LIST", "/e", body=iter([b"one", b"two"]), headers={"Transfer-Encoding": "chunked"}, encode_chunked=True
        )
        connection.getresponse().read()
    first, second = server.wait_for_requests(2)
    assert (first.method, first.path, first.headers["x-vault-token"], first.body) == ("PATCH", "/a/b?c=d", "t", b"text")
    assert (second.method, second.body, second.connection) == ("LIST", b"onetwo", first.connection)


def test_queued_replies_come_first_then_the_function_then_a_status_that_nobody_mistakes(server):
    server.enqueue(
        Reply(status=503, body=b"<Error><Code>SlowDown</Code></Error>", headers={"Retry-After": "1"}),
        Reply(status=429),
        Reply(status=500, body=b"oops"),
    )
    answers = [get(server) for _ in range(4)]
    assert answers == [(503, b"<Error><Code>SlowDown</Code></Error>"), (429, b""), (500, b"oops"), (200, BODY)]
    server.respond = None
    assert get(server) == (599, b"the test has not said what to answer\n")


def test_a_header_of_a_reply_reaches_the_client(server):
    server.enqueue(Reply(status=503, headers={"Retry-After": "7"}))
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        assert connection.getresponse().getheader("Retry-After") == "7"


def test_a_chunked_body_is_whole(server):
    server.enqueue(Reply(body=BODY, chunk_bytes=1000))
    assert get(server) == (200, BODY)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"short", declared_bytes=50),
        Reply(body=BODY, stop_after=10),
        Reply(body=BODY, chunk_bytes=9, stop_after=9),
    ],
    ids=["length-lies", "stopped", "stopped-in-a-chunk"],
)
def test_a_body_that_ends_early_is_seen_as_incomplete(reply, server):
    server.enqueue(reply)
    with pytest.raises(http.client.IncompleteRead):
        get(server)


def test_a_body_drips_in_pieces_and_is_whole_in_the_end(server):
    server.enqueue(Reply(body=b"abcdef", piece_bytes=2, pause_s=0.01))
    assert get(server) == (200, b"abcdef")


@pytest.mark.parametrize("reply", [Reply(is_reset=True), Reply(body=BODY, stop_after=5, is_reset=True)])
def test_a_reset_follows_a_request_that_was_noted(reply, server):
    server.enqueue(reply)
    with pytest.raises(ConnectionResetError):
        get(server, "/write", method="PUT", body=b"v")
    assert server.requests[0].body == b"v"


def test_a_silent_server_answers_nothing_and_still_ends(server):
    server.enqueue(Reply(is_silent=True))
    with pytest.raises(TimeoutError):
        get(server, timeout=0.05)
    assert len(server.requests) == 1


def test_raw_bytes_go_out_as_they_are(server):
    server.enqueue(Reply(raw=b"not http at all\r\n\r\n"))
    with pytest.raises(http.client.BadStatusLine, match="not http at all"):
        get(server)


def test_the_connection_is_kept_unless_the_reply_is_the_last(server):
    server.enqueue(Reply(), Reply(is_last=True))
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    with contextlib.closing(connection):
        for _ in range(3):
            connection.request("GET", "/")
            connection.getresponse().read()
    assert [request.connection for request in server.requests] == [1, 1, 2]


@pytest.mark.parametrize("reply", [Reply(status=204), Reply(status=304, body=b"x")])
def test_an_answer_that_may_have_no_body_has_none_and_the_next_is_in_step(reply, server):
    server.enqueue(reply)
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    with contextlib.closing(connection):
        for expected in (b"", BODY):
            connection.request("GET", "/")
            assert connection.getresponse().read() == expected


def test_what_the_function_raises_fails_the_test():
    def respond(request):
        raise AssertionError("wrong header")

    with pytest.raises(AssertionError, match="wrong header"), ScriptedHttpServer(respond) as server:
        assert get(server) == (599, b"AssertionError in the test\n")


def test_awaiting_requests_that_never_come_is_an_error(server):
    with pytest.raises(TimeoutError, match="0 of 1 requests have come"):
        server.wait_for_requests(1, timeout_s=0.01)


# --- TLS --------------------------------------------------------------------------------------------------------------


def trusting(authority):
    return ssl.create_default_context(cafile=authority.certificate)


def test_a_client_that_trusts_the_authority_is_answered_also_through_the_proxy(authority):
    with (
        ScriptedHttpServer(lambda request: Reply(body=BODY), tls=authority.server_context()) as server,
        FaultProxy(server.host, server.port) as proxy,
    ):
        assert server.url == f"https://127.0.0.1:{server.port}"
        assert get(server, context=trusting(authority)) == (200, BODY)
        assert get(proxy, context=trusting(authority)) == (200, BODY)


@pytest.mark.parametrize(
    ("names", "is_expired", "reason"),
    [(("localhost",), False, "IP address mismatch"), (("127.0.0.1",), True, "has expired")],
)
def test_a_certificate_for_another_name_or_time_is_refused(names, is_expired, reason, authority):
    with ScriptedHttpServer(tls=authority.server_context(*names, is_expired=is_expired)) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            get(server, context=trusting(authority))
        assert server.requests == ()


def test_a_client_that_does_not_know_the_authority_refuses_and_the_server_goes_on(authority):
    with ScriptedHttpServer(lambda request: Reply(), tls=authority.server_context()) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
            get(server, context=ssl.create_default_context())
        assert get(server, context=trusting(authority)) == (200, b"")
    assert len(server.failed_handshakes) == 1


def test_a_reset_over_tls_follows_a_request_that_was_noted(authority):
    with ScriptedHttpServer(tls=authority.server_context()) as server:
        server.enqueue(Reply(is_reset=True))
        with pytest.raises(ConnectionResetError):
            get(server, "/write", context=trusting(authority))
        assert server.requests[0].path == "/write"


def test_an_authority_leaves_no_file_behind_and_says_so_when_openssl_is_missing(authority, monkeypatch):
    with ThrowawayAuthority() as other:
        other.issue("a.example")
        folder = other.folder
    with pytest.raises(FileNotFoundError), open(folder):
        pass
    with ThrowawayAuthority() as broken:
        broken._write("serial", "not a number")
        with pytest.raises(CertificateError, match="openssl ca ended with status"):
            broken.issue("a.example")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CertificateError, match="there is no `openssl` program"), ThrowawayAuthority():
        pass
