"""Sections of the configuration about what the collector listens on."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from deploy.config_types import REALM_NAME, Address, Network, Port, Section, check_address


def listener_realm() -> Any:
    """The optional realm of a section of listeners."""
    return Field(
        default="",
        pattern=f"^({REALM_NAME})?$",
        description="Realm of what arrives here; a [[realm]] network that holds the source goes first; empty: main",
    )


class SyslogSettings(Section):
    """Syslog receivers."""

    address: Address = Field(default="::", description="Address to listen on; :: is every address, IPv4 and IPv6")
    udp_ports: list[Port] = Field(default=[5514], max_length=16, description="UDP ports")
    tcp_ports: list[Port] = Field(default=[5514], max_length=16, description="TCP ports")
    tls_ports: list[Port] = Field(
        default=[6514], max_length=16, description="TCP ports for TLS 1.2 or later (RFC 5425)"
    )
    relp_ports: list[Port] = Field(default=[2514], max_length=16, description="TCP ports for RELP")
    tls_certificate: str = Field(
        default="", description="PEM file of the certificate; empty: a self-signed one in DIR/collector/"
    )
    tls_key: str = Field(default="", validate_default=True, description="PEM file of its private key")
    tls_client_ca: str = Field(
        default="", description="PEM file of an authority; then only senders with a certificate of it are taken"
    )
    allow: list[Network] = Field(
        default=[], max_length=256, description="Networks records are taken from; empty: everybody"
    )
    udp_receivers: int = Field(default=1, ge=1, le=16, description="Receivers that share each UDP port")
    silence_seconds: int = Field(
        default=900,
        ge=0,
        le=604_800,
        description="A source that sent regularly and then nothing for so long is recorded as silent; 0: never",
    )
    realm: str = listener_realm()

    _check = field_validator("address")(check_address)

    @field_validator("tls_key")
    @classmethod
    def _check_tls_key(cls, value: str, info: ValidationInfo) -> str:
        if bool(value) != bool(info.data.get("tls_certificate")):
            raise ValueError("valid is the key of tls_certificate, or neither of both")
        return value


class NetflowSettings(Section):
    """NetFlow and IPFIX receivers."""

    address: Address = Field(default="::", description="Address to listen on")
    ports: list[Port] = Field(default=[2055, 4739], max_length=16, description="UDP ports")
    allow: list[Network] = Field(
        default=[], max_length=256, description="Networks flows are taken from; empty: everybody"
    )
    receivers: int = Field(default=1, ge=1, le=16, description="Receivers that share each port")
    realm: str = listener_realm()

    _check = field_validator("address")(check_address)


class SflowSettings(Section):
    """sFlow receivers."""

    address: Address = Field(default="::", description="Address to listen on")
    ports: list[Port] = Field(default=[6343], max_length=16, description="UDP ports")
    allow: list[Network] = Field(
        default=[], max_length=256, description="Networks samples are taken from; empty: everybody"
    )
    receivers: int = Field(default=1, ge=1, le=16, description="Receivers that share each port")
    realm: str = listener_realm()

    _check = field_validator("address")(check_address)


class ListenerSettings(Section):
    """A listener with settings of its own. Its port must not stand in another section too."""

    kind: Literal["syslog", "netflow", "sflow"] = Field(description="What is sent to it; netflow: IPFIX too")
    transport: Literal["udp", "tcp", "tls", "relp"] = Field(
        default="udp", description="How it is sent; netflow and sflow: udp alone; tls: with the files of [syslog]"
    )
    port: Port = Field(description="UDP or TCP port")
    address: Address = Field(default="::", description="Address to listen on")
    allow: list[Network] = Field(
        default=[], max_length=256, description="Networks records are taken from; empty: everybody"
    )
    receivers: int = Field(default=1, ge=1, le=16, description="Receivers that share the port, over udp alone")
    silence_seconds: int = Field(
        default=900, ge=0, le=604_800, description="As in [syslog]; 0: no source is ever missed"
    )
    realm: str = listener_realm()

    _check = field_validator("address")(check_address)

    @field_validator("transport")
    @classmethod
    def _check_transport(cls, value: str, info: ValidationInfo) -> str:
        kind = info.data.get("kind", "syslog")
        if kind != "syslog" and value != "udp":
            raise ValueError(f"valid for {kind} is udp")
        return value

    @field_validator("receivers")
    @classmethod
    def _check_receivers(cls, value: int, info: ValidationInfo) -> int:
        transport = info.data.get("transport", "udp")
        if transport != "udp" and value > 1:
            raise ValueError(f"valid over {transport} is 1")
        return value


def listener_ports(
    syslog: SyslogSettings, netflow: NetflowSettings, sflow: SflowSettings, own: list[ListenerSettings]
) -> Iterator[tuple[str, str, int]]:
    """(setting, transport, port) of everything the collector listens on."""
    for transport in ("udp", "tcp", "tls", "relp"):
        for port in getattr(syslog, f"{transport}_ports"):
            yield f"syslog.{transport}_ports", transport, port
    for port in netflow.ports:
        yield "netflow.ports", "udp", port
    for port in sflow.ports:
        yield "sflow.ports", "udp", port
    for number, listener in enumerate(own):
        yield f"listener.{number}.port", listener.transport, listener.port


def check_ports(ports: Iterator[tuple[str, str, int]]) -> None:
    """Raises ValueError where a port is given twice. TCP, TLS and RELP share the ports of TCP."""
    used: dict[tuple[str, int], str] = {}
    for setting, transport, port in ports:
        key = ("UDP" if transport == "udp" else "TCP", port)
        if key in used:
            raise ValueError(
                f"{key[0]} port {port} is given twice, in {used[key]} and in {setting}; give it to one listener alone"
            )
        used[key] = setting
