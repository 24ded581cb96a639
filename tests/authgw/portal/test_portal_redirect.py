"""Plain HTTP: always a temporary redirect, whatever is asked."""

import pytest

from authgw.portal.redirect import make_redirect_app, portal_url

PROBES = [
    ("captive.apple.com", "/hotspot-detect.html"),
    ("connectivitycheck.gstatic.com", "/generate_204"),
    ("www.msftconnecttest.com", "/connecttest.txt"),
    ("www.msftncsi.com", "/ncsi.txt"),
    ("detectportal.firefox.com", "/canonical.html"),
    ("network-test.debian.org", "/nm"),
    ("evil.example\r\nX: y", "/%0d%0aSet-Cookie:x=y?a=<script>"),
]


class Socket:
    def __init__(self, address: str) -> None:
        self._address = address

    def getsockname(self) -> tuple[str, int]:
        return self._address, 8080


def answer(host_name: str, local: str, host: str, path: str, method: str = "GET", port: int = 8443):
    seen = {}
    environ = {
        "HTTP_HOST": host,
        "PATH_INFO": path,
        "REQUEST_METHOD": method,
        "gunicorn.socket": Socket(local),
    }
    body = b"".join(
        make_redirect_app(host_name, port)(environ, lambda status, headers: seen.update(status=status, headers=headers))
    )
    return seen["status"], dict(seen["headers"]), body


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PUT"])
@pytest.mark.parametrize(("host", "path"), PROBES)
def test_every_probe_is_sent_to_the_portal(host: str, path: str, method: str) -> None:
    status, headers, body = answer("", "10.20.0.1", host, path, method)
    assert status == "302 Found"
    assert headers["Location"] == "https://10.20.0.1:8443/"
    assert headers["Cache-Control"] == "no-store"
    assert body == b""
    assert "Set-Cookie" not in headers


def test_the_configured_name_comes_first() -> None:
    assert answer("wifi.school.ac.th", "10.20.0.1", "x", "/", port=443)[1]["Location"] == "https://wifi.school.ac.th/"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("::ffff:10.0.0.1", "https://10.0.0.1:8443/"),
        ("fd00::1", "https://[fd00::1]:8443/"),
        ("wifi.example", "https://wifi.example:8443/"),
    ],
)
def test_addresses_in_urls(host: str, url: str) -> None:
    assert portal_url(host, 8443) == url
