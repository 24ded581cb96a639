"""Asking an authority on loopback: what is sent, and every answer that is none."""

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from archive.errors import TimestampError
from archive.timestamp.client import request_timestamp
from archive.timestamp.token import MAX_RESPONSE_BYTES, Authority, verify_token
from tests.archive.tsa_maker import MadeAuthority
from tests.archive.tsa_server import TsaServer

DATA = b"a signed head\n"


@pytest.fixture
def server(made_authority: MadeAuthority) -> Iterator[TsaServer]:
    server = TsaServer(made_authority)
    yield server
    server.close()


@pytest.fixture
def authority(server: TsaServer) -> Authority:
    return replace(server.authority.pinned(), url=server.url)


def refused(authority: Authority, timeout_seconds: float = 10.0) -> TimestampError:
    with pytest.raises(TimestampError) as caught:
        request_timestamp(authority, DATA, timeout_seconds)
    assert "\n" not in str(caught.value)
    assert authority.name in str(caught.value) or "stamp" in str(caught.value)
    return caught.value


def test_a_stamp_is_asked_for_as_the_standard_says(server: TsaServer, authority: Authority) -> None:
    response = request_timestamp(authority, DATA, 10.0)
    verify_token(response, DATA, authority)
    [(path, content_type, _)] = server.queries
    assert (path, content_type) == ("/tsa/", "application/timestamp-query")
    request_timestamp(authority, DATA, 10.0)
    assert server.queries[0][2] != server.queries[1][2], "the nonce differs"


def test_an_earlier_answer_is_not_taken_again(server: TsaServer, authority: Authority) -> None:
    earlier = request_timestamp(authority, DATA, 10.0)
    server.alter = lambda _: earlier
    assert "another request" in str(refused(authority))


@pytest.mark.parametrize("status", [301, 302, 307, 404, 500, 503])
def test_another_status_and_redirects(server: TsaServer, authority: Authority, status: int) -> None:
    server.status = status
    server.headers = {"Location": server.url}
    assert refused(authority).code == "authority_unreachable"
    assert len(server.queries) == 1, "a redirect is not followed"


def test_another_kind_of_content(server: TsaServer, authority: Authority) -> None:
    server.content_type = "text/html"
    assert "text/html" in str(refused(authority))


def test_an_answer_that_is_too_long(server: TsaServer, authority: Authority) -> None:
    server.alter = lambda _: bytes(MAX_RESPONSE_BYTES + 1)
    assert str(MAX_RESPONSE_BYTES) in str(refused(authority))


def test_an_answer_that_does_not_come(server: TsaServer, authority: Authority) -> None:
    server.release.clear()
    assert refused(authority, 0.2).code == "authority_unreachable"


def test_nobody_listens(authority: Authority) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert refused(replace(authority, url=url)).code == "authority_unreachable"
