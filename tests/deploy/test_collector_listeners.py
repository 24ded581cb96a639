"""Settings of the receivers become listeners; TLS works from the first start with a certificate of our own."""

import ssl
import stat
from pathlib import Path

import pytest

from collector.tls import make_tls_context
from deploy.collector_certificate import syslog_tls_files
from deploy.config import Config, parse_config
from deploy.errors import ConfigError
from deploy.layout import Appliance
from deploy.processes import listeners


def test_every_port_with_its_sources_and_receivers(tmp_path: Path) -> None:
    values = {
        "syslog": {
            "udp_ports": [5514, 5515],
            "tls_ports": [],
            "allow": ["10.0.0.0/8", "2001:db8::/32"],
            "udp_receivers": 2,
            "silence_seconds": 60,
        },
        "netflow": {"ports": [2055], "allow": ["10.9.0.1"], "receivers": 3},
    }
    found = listeners(Appliance(tmp_path, None, parse_config(values, "x"), False))
    assert {listener.name: listener.receivers for listener in found} == {
        "syslog/udp-5514": 2, "syslog/udp-5515": 2, "syslog/tcp-5514": 1, "syslog/relp-2514": 1, "netflow/udp-2055": 3,
    }  # fmt: skip
    assert {listener.allow for listener in found if listener.kind == "syslog"} == {("10.0.0.0/8", "2001:db8::/32")}
    assert [(one.allow, one.silence_seconds) for one in found if one.kind == "netflow"] == [(("10.9.0.1",), 0)]
    assert {listener.silence_seconds for listener in found if listener.kind == "syslog"} == {60}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"allow": ["10.0.0.1/8"]}, ["syslog.allow.0", "10.0.0.1/8"]),
        ({"tls_certificate": "/x.pem"}, ["syslog.tls_key", "tls_certificate"]),
        ({"tls_key": "/x.key"}, ["syslog.tls_key", "/x.key"]),
        ({"udp_receivers": 0}, ["syslog.udp_receivers", "1 to 16"]),
        ({"silence_seconds": -1}, ["syslog.silence_seconds", "0 to 604800"]),
    ],
)
def test_wrong_settings_are_one_sentence(values: dict, expected: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"syslog": values}, "phayan.toml")
    assert "\n" not in str(caught.value)
    for part in expected:
        assert part in str(caught.value)


def test_certificate_is_made_once_and_only_for_tls(tmp_path: Path) -> None:
    directory = tmp_path / "collector"
    assert syslog_tls_files(Config().syslog.model_copy(update={"tls_ports": []}), directory, "") is None
    assert not directory.exists()
    files = syslog_tls_files(Config().syslog, directory, "log.example.test")
    assert files is not None
    assert isinstance(make_tls_context(files.certificate, files.key), ssl.SSLContext)
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    before = files.certificate.read_bytes()
    assert syslog_tls_files(Config().syslog, directory, "log.example.test") == files
    assert files.certificate.read_bytes() == before
    assert sorted(path.name for path in directory.iterdir()) == ["syslog.crt", "syslog.key"]


def test_owners_certificate_is_taken_as_it_is(tmp_path: Path) -> None:
    settings = parse_config({"syslog": {"tls_certificate": "/c.pem", "tls_key": "/k.pem", "tls_client_ca": "/a"}}, "x")
    files = syslog_tls_files(settings.syslog, tmp_path / "collector", "")
    assert files is not None
    assert (files.certificate, files.key, files.client_ca) == (Path("/c.pem"), Path("/k.pem"), Path("/a"))
    assert not (tmp_path / "collector").exists()
