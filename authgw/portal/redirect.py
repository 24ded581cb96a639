"""Plain HTTP: every host and path is sent to the portal over TLS, nothing is ever served here.

Phones find out by such requests that they are behind a portal: a 200 would tell them that they are online, a permanent
redirect would be remembered at home (RFC 8910 section 3 leaves the probes to each system; each accepts a 302).
"""

import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Any

HTTPS_PORT = 443

StartResponse = Callable[[str, list[tuple[str, str]]], object]


def portal_url(host: str, https_port: int) -> str:
    """`https://host:port/`; an IPv6 address in brackets."""
    try:
        parsed = ipaddress.ip_address(host)
        mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
        host = f"[{parsed}]" if parsed.version == 6 and mapped is None else str(mapped or parsed)
    except ValueError:
        pass
    return f"https://{host}{'' if https_port == HTTPS_PORT else f':{https_port}'}/"


def connected_host(environ: dict[str, Any]) -> str:
    """The address of ours that the client is connected to. Its own `Host` header is never believed: it names the site
    the person wanted."""
    connection: socket.socket | None = environ.get("gunicorn.socket")
    if connection is None:
        return str(environ.get("SERVER_NAME", "localhost"))
    return str(connection.getsockname()[0]).partition("%")[0]


def make_redirect_app(host_name: str, https_port: int) -> Callable[[dict[str, Any], StartResponse], Iterable[bytes]]:
    """The WSGI application. `host_name` empty: the address each client connected to."""

    def redirect(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        location = portal_url(host_name or connected_host(environ), https_port)
        start_response(
            "302 Found",
            [
                ("Location", location),
                ("Cache-Control", "no-store"),
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", "0"),
                ("X-Content-Type-Options", "nosniff"),
                ("Connection", "close"),
            ],
        )
        return [b""]

    return redirect
