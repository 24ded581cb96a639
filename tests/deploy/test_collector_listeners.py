"""Settings of the receivers become listeners; TLS works from the first start with a certificate of our own."""

import pickle
import ssl
import stat
from pathlib import Path

import pytest

from collector.tls import make_tls_context
from deploy.collector_certificate import syslog_tls_files
from deploy.config import Config, parse_config
from deploy.errors import ConfigError
from deploy.layout import Appliance
from deploy.listeners import listener_realms, listeners


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
        "sflow/udp-6343": 1,
    }  # fmt: skip
    assert {listener.allow for listener in found if listener.kind == "syslog"} == {("10.0.0.0/8", "2001:db8::/32")}
    assert [(one.allow, one.silence_seconds) for one in found if one.kind == "netflow"] == [(("10.9.0.1",), 0)]
    assert {listener.silence_seconds for listener in found if listener.kind == "syslog"} == {60}


OWN = [
    {"kind": "syslog", "port": 9514, "allow": ["10.8.0.0/16"], "receivers": 2, "realm": "annex"},
    {"kind": "syslog", "transport": "relp", "port": 9514, "address": "127.0.0.1", "silence_seconds": 0},
    {"kind": "netflow", "port": 9995, "realm": "annex"},
    {"kind": "sflow", "port": 9343},
]


def appliance_of(directory: Path, values: dict) -> Appliance:
    return Appliance(directory, None, parse_config(values, "x"), False)


def test_a_listener_may_have_settings_of_its_own(tmp_path: Path) -> None:
    found = {one.name: one for one in listeners(appliance_of(tmp_path, {"listener": OWN}))}
    assert set(found) == {one.name for one in listeners(appliance_of(tmp_path, {}))} | {
        "syslog/udp-9514", "syslog/relp-9514", "netflow/udp-9995", "sflow/udp-9343",
    }  # fmt: skip
    udp, relp = found["syslog/udp-9514"], found["syslog/relp-9514"]
    assert (udp.address, udp.allow, udp.receivers, udp.silence_seconds) == ("::", ("10.8.0.0/16",), 2, 900)
    assert (relp.address, relp.allow, relp.receivers, relp.silence_seconds) == ("127.0.0.1", (), 1, 0)


def test_realms_of_listeners_cross_to_the_decode_worker_as_plain_values(tmp_path: Path) -> None:
    sections = {"syslog": {"realm": "main-site", "tls_ports": [], "relp_ports": []}, "sflow": {"realm": "core"}}
    appliance = appliance_of(tmp_path, {**sections, "listener": OWN})
    assert listener_realms(appliance) == (
        ("syslog/udp-5514", "main-site"),
        ("syslog/tcp-5514", "main-site"),
        ("sflow/udp-6343", "core"),
        ("syslog/udp-9514", "annex"),
        ("netflow/udp-9995", "annex"),
    )
    assert pickle.loads(pickle.dumps(listener_realms(appliance))) == listener_realms(appliance)  # noqa: S301
    assert listener_realms(appliance_of(tmp_path, {})) == ()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"listener": [{"kind": "syslog", "port": 5514}]}, ["UDP port 5514", "syslog.udp_ports", "listener.0.port"]),
        ({"listener": [{"kind": "sflow", "port": 2055}]}, ["UDP port 2055", "netflow.ports", "listener.0.port"]),
        ({"sflow": {"ports": [4739]}}, ["UDP port 4739", "netflow.ports", "sflow.ports"]),
        ({"syslog": {"udp_ports": [99, 99]}}, ["UDP port 99", "twice", "syslog.udp_ports"]),
        ({"listener": [{"kind": "syslog", "transport": "tls", "port": 5514}]}, ["TCP port 5514", "syslog.tcp_ports"]),
        (
            {"listener": [{"kind": "syslog", "port": 99, "address": "10.0.0.1"}, {"kind": "netflow", "port": 99}]},
            ["UDP port 99", "listener.0.port", "listener.1.port"],
        ),
        ({"listener": [{"kind": "netflow", "transport": "tcp", "port": 99}]}, ["listener.0.transport", "udp"]),
        (
            {"listener": [{"kind": "syslog", "transport": "tcp", "port": 99, "receivers": 2}]},
            ["listener.0.receivers", "valid over tcp is 1"],
        ),
        ({"listener": [{"kind": "snmp", "port": 99}]}, ["listener.0.kind", "snmp", "sflow"]),
        ({"listener": [{"kind": "syslog"}]}, ["listener.0.port", "missing"]),
        ({"listener": [{"kind": "syslog", "port": 99, "realm": "Main Site"}]}, ["listener.0.realm", "Main Site"]),
        ({"listener": [{"kind": "syslog", "port": 99, "relm": "x"}]}, ["listener.0.relm", "realm"]),
        ({"netflow": {"realm": "-" * 33}}, ["netflow.realm"]),
    ],
)
def test_a_wrong_listener_is_one_sentence(values: dict, expected: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(values, "phayan.toml")
    assert "\n" not in str(caught.value)
    for part in expected:
        assert part in str(caught.value)


def test_the_same_port_of_udp_and_tcp_is_two_ports() -> None:
    values = [{"kind": "syslog", "port": 99}, {"kind": "syslog", "transport": "tcp", "port": 99}]
    assert len(parse_config({"listener": values}, "x").listener) == 2


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
    assert syslog_tls_files(parse_config({"syslog": {"tls_ports": []}}, "x").syslog, directory, "", needed=True)
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
