"""One HTTP request with a bound on its time and on the length of its answer. Redirects are not followed, proxies of
the environment not used."""

import http.client
import re
import socket
import ssl
import threading
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from archive.witness.errors import WitnessError

CONTENT_TYPE = "text/plain; charset=utf-8"
_URL = re.compile(r"[!-~]+\Z", re.ASCII)


@dataclass(frozen=True)
class HttpAddress:
    """Where requests go; `prefix` starts with a slash and does not end in one, or is empty."""

    tls: bool
    host: str
    port: int
    prefix: str


@dataclass(frozen=True)
class Answer:
    """Status, media type without parameters in lower case, and the whole body."""

    status: int
    content_type: str
    body: bytes


def parse_address(url: str) -> HttpAddress:
    """Raises WitnessError `witness_url` for what is no http or https address of a host."""
    sentence = f"{url!r} is not an address of the form http://host[:port][/path] or https://"
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise WitnessError(sentence, code="witness_url") from error
    strange = parts.username is not None or parts.password is not None or "?" in url or "#" in url
    if parts.scheme not in ("http", "https") or not host or port == 0 or strange or not _URL.match(url):
        raise WitnessError(sentence, code="witness_url")
    tls = parts.scheme == "https"
    return HttpAddress(tls, host, port or (443 if tls else 80), parts.path.rstrip("/"))


def send_request(
    address: HttpAddress,
    method: str,
    path: str,
    body: bytes | None,
    timeout_seconds: float,
    max_bytes: int,
    *,
    content_type: str = CONTENT_TYPE,
    ca_file: Path | None = None,
) -> Answer:
    """One request and its answer, after `timeout_seconds` at most once connected; connecting has the same bound. With
    `ca_file`, its authorities alone may have issued the server's certificate; else those that the system trusts.

    Raises WitnessError `witness_unreachable`, or `witness_answer` for an answer that is longer than `max_bytes` or no
    HTTP.
    """
    where = f"{address.host}:{address.port}"
    connection = _connect(address, timeout_seconds, ca_file)
    late = threading.Event()
    raw = connection.sock

    def cut_off() -> None:
        late.set()
        try:
            # Not SSLSocket.shutdown, which takes the TLS object away from the thread that reads.
            socket.socket.shutdown(raw, socket.SHUT_RDWR)
        except OSError:
            return  # closed a moment ago

    timer = threading.Timer(timeout_seconds, cut_off)
    timer.daemon = True
    timer.start()
    try:
        headers = {"Content-Type": content_type, "Connection": "close"}
        connection.request(method, address.prefix + path, body, headers)
        response = connection.getresponse()
        data = response.read(max_bytes + 1)
        status, content_type = response.status, response.headers.get_content_type()
    except (OSError, ValueError, http.client.HTTPException) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            raise _too_slow(where, timeout_seconds) from error
        raise _no_answer(where, error) from error
    finally:
        timer.cancel()
        connection.close()
    if late.is_set():
        raise _too_slow(where, timeout_seconds)
    if len(data) > max_bytes:
        raise WitnessError(f"{where} answered with more than {max_bytes} bytes")
    return Answer(status, content_type, data)


def _connect(address: HttpAddress, timeout_seconds: float, ca_file: Path | None) -> http.client.HTTPConnection:
    where = f"{address.host}:{address.port}"
    try:
        if address.tls:
            context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                address.host, address.port, timeout=timeout_seconds, context=context
            )
        else:
            connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout_seconds)
        connection.connect()
    except TimeoutError as error:
        raise _too_slow(where, timeout_seconds) from error
    except (OSError, ValueError) as error:
        raise WitnessError(f"cannot connect to {where}: {error}", code="witness_unreachable") from error
    return connection


def _no_answer(where: str, error: Exception) -> WitnessError:
    if isinstance(error, OSError) and error.strerror:
        return WitnessError(f"{where} gave no answer: {error.strerror}", code="witness_unreachable")
    # What http.client says of an answer quotes it, line breaks and all.
    return WitnessError(f"{where} gave no HTTP answer: {type(error).__name__}")


def _too_slow(where: str, timeout_seconds: float) -> WitnessError:
    return WitnessError(f"{where} did not answer within {timeout_seconds:g} seconds", code="witness_unreachable")
