"""The one configuration file, `phayan.toml`: every setting, its default and its range. Unknown keys are refused."""

import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from deploy.config_anchors import AnchorsSettings
from deploy.config_cases import CasesSettings
from deploy.config_copies import CopySettings, RecoverySettings, check_copy_names
from deploy.config_keys import KeySettings
from deploy.config_listeners import (
    ListenerSettings,
    NetflowSettings,
    SflowSettings,
    SyslogSettings,
    check_ports,
    listener_ports,
)
from deploy.config_network import ExporterSettings, UplinkSettings, check_network_names
from deploy.config_storage import StorageSettings
from deploy.config_types import REALM_NAME, Address, Network, Port, Section, check_address, check_network
from deploy.errors import ConfigError

RETENTION_FLOOR_DAYS = 90
"""Computer Crime Act section 26: at least 90 days from receipt."""
DEFAULT_RETENTION_DAYS = 92
RETENTION_CEILING_DAYS = 800
"""Two years and a margin; longer keeping needs a legal hold with a scope, not a setting for everybody."""

SECRET_SETTINGS = ("secret", "bind_password", "index_dsn")
"""Never shown, not even when they are wrong: messages end in log files."""


class SiteSettings(Section):
    """Who runs this appliance."""

    name: str = Field(
        default="โรงเรียน / School", max_length=200, description="Name shown on the portal and on packages"
    )
    zone: str = Field(default="Asia/Bangkok", description="Time zone of the site, and of devices that send local time")

    @field_validator("zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, KeyError):
            raise ValueError("valid is a zone name such as Asia/Bangkok") from None
        return value


class ArchiveSettings(Section):
    """The journal, its seal and its index."""

    retention_days: int = Field(
        default=DEFAULT_RETENTION_DAYS,
        ge=RETENTION_FLOOR_DAYS,
        le=RETENTION_CEILING_DAYS,
        description="Days a record is kept from its receipt",
    )
    head_file: str = Field(
        default="", description="Newest signed checkpoint; empty: DIR.head beside the data directory"
    )
    index_dsn: str = Field(
        default="", description="ClickHouse: empty for the embedded engine, or http(s)://user:pass@host:port"
    )
    spool_close_seconds: float = Field(
        default=10.0, ge=0.2, le=10.0, description="A spool file is closed after this time"
    )
    head_interval_seconds: float = Field(
        default=10.0, ge=0.2, le=300.0, description="At most one checkpoint in this time"
    )
    verify_at: str = Field(
        default="02:30", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="Site time of the nightly verification"
    )


class RadiusClientSettings(Section):
    """A NAS, or a network of them, that may ask."""

    network: str = Field(description="Address or network of the NAS")
    secret: str = Field(min_length=8, max_length=128, description="Shared secret; at least 16 characters are advised")
    name: str = Field(default="", max_length=64, description="Name in records and status")
    require_message_authenticator: Literal["yes", "learned", "no"] = Field(
        default="learned",
        description="Drop Access-Requests without Message-Authenticator: yes, once it was seen, or never",
    )
    limit_proxy_state: bool = Field(
        default=True, description="Drop requests with Proxy-State but no Message-Authenticator"
    )

    _check = field_validator("network")(check_network)


class RadiusSettings(Section):
    """The RADIUS server."""

    address: Address = Field(default="0.0.0.0", description="Address to listen on")  # noqa: S104
    authentication_port: Port = Field(default=1812, description="UDP port for Access-Request")
    accounting_port: Port = Field(default=1813, description="UDP port for Accounting-Request")
    client: list[RadiusClientSettings] = Field(default=[], description="The devices that may ask")

    _check = field_validator("address")(check_address)


class PortalSettings(Section):
    """The captive portal."""

    address: Address = Field(default="0.0.0.0", description="Address to listen on")  # noqa: S104
    http_port: Port = Field(default=8080, description="Answers probes and redirects, nothing else")
    https_port: Port = Field(default=8443, description="Every form, and the captive portal API")
    host_name: str = Field(
        default="", max_length=253, description="Name or address phones are sent to; empty: as they asked"
    )

    _check = field_validator("address")(check_address)


class AdminSettings(Section):
    """The admin pages."""

    address: Address = Field(default="127.0.0.1", description="Address to listen on; only loopback goes without TLS")
    port: Port = Field(default=8090, description="TCP port")
    tls_certificate: str = Field(default="", description="PEM file of the certificate; needed unless on loopback")
    tls_key: str = Field(default="", description="PEM file of its private key")
    metrics_allow: list[Network] = Field(
        default=["127.0.0.0/8", "::1/128"],
        max_length=64,
        description="Networks that may read /metrics without signing in; empty: nobody",
    )

    _check = field_validator("address")(check_address)


class DirectorySettings(Section):
    """An LDAP directory for accounts that are not local."""

    host: str = Field(default="", description="Server name; empty: no directory")
    port: Port = Field(default=636, description="TCP port")
    tls: Literal["ldaps", "start_tls"] = Field(
        default="ldaps", description="How the connection is secured; there is no plain way"
    )
    ca_file: str = Field(default="", description="PEM file of the authority that issued the server's certificate")
    server_name: str = Field(default="", description="Name in the certificate when it is not the host")
    base_dn: str = Field(default="", description="Where people are searched")
    bind_dn: str = Field(default="", description="Account that searches")
    bind_password: str = Field(default="", description="Its password")
    user_filter: str = Field(default="(uid={name})", description="Search filter; {name} is the escaped account name")


class RealmSettings(Section):
    """Sources whose inside addresses belong together; they go before the realm of the listener they send to."""

    network: str = Field(description="Network of the sources; the longest one counts, then the realm of the listener")
    name: str = Field(pattern=f"^{REALM_NAME}$", description="Realm of these sources")

    _check = field_validator("network")(check_network)


class Config(Section):
    """All settings."""

    site: SiteSettings = SiteSettings()
    archive: ArchiveSettings = ArchiveSettings()
    keys: KeySettings = KeySettings()
    syslog: SyslogSettings = SyslogSettings()
    netflow: NetflowSettings = NetflowSettings()
    sflow: SflowSettings = SflowSettings()
    listener: list[ListenerSettings] = Field(default=[], max_length=64)
    radius: RadiusSettings = RadiusSettings()
    portal: PortalSettings = PortalSettings()
    admin: AdminSettings = AdminSettings()
    directory: DirectorySettings = DirectorySettings()
    realm: list[RealmSettings] = Field(default=[], max_length=256)
    exporter: list[ExporterSettings] = Field(default=[], max_length=256)
    uplink: list[UplinkSettings] = Field(default=[], max_length=64)
    anchors: AnchorsSettings = AnchorsSettings()
    storage: StorageSettings = StorageSettings()
    cases: CasesSettings = CasesSettings()
    copies: list[CopySettings] = Field(default=[], max_length=16, alias="copy")
    recovery: RecoverySettings = RecoverySettings()

    @model_validator(mode="after")
    def _check_ports(self) -> "Config":
        check_ports(listener_ports(self.syslog, self.netflow, self.sflow, self.listener))
        return self

    @model_validator(mode="after")
    def _check_copy_names(self) -> "Config":
        check_copy_names(self.copies)
        return self

    @model_validator(mode="after")
    def _check_network_names(self) -> "Config":
        check_network_names(self.exporter, self.uplink)
        return self


def load_config(path: Path | None) -> Config:
    """Settings of a file, or the defaults for None. Raises ConfigError: one sentence with setting, value and
    valid range."""
    if path is None:
        return Config()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    return parse_config(values, str(path))


def parse_config(values: dict[str, Any], source: str) -> Config:
    """Settings from a parsed TOML document. Raises ConfigError."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_sentence(error.errors()[0])}") from None


def _sentence(problem: Any) -> str:
    place = [str(part) for part in problem["loc"]]
    setting = ".".join(place)
    if not place:
        return str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        known = _known_names(place[:-1])
        near = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        return f"unknown setting {setting!r}; {hint}"
    if problem["type"] == "missing":
        return f"setting {setting!r} is missing"
    limits = problem.get("ctx", {})
    field = _field_of(place)
    valid = str(problem["msg"]).removeprefix("Value error, ")
    if "ge" in limits or "le" in limits:
        bounds = {type(m).__name__: m for m in (field.metadata if field else [])}
        low, high = getattr(bounds.get("Ge"), "ge", None), getattr(bounds.get("Le"), "le", None)
        if low is not None and high is not None:
            valid = f"valid are {low} to {high}"
    if setting == "archive.retention_days":
        valid += " (the law asks for at least 90 days)"
    if problem["type"] == "value_error" and isinstance(problem["input"], dict):
        return f"setting {setting!r} is not right: {valid}"
    if place[-1] in SECRET_SETTINGS:
        return f"setting {setting!r} is not right; {valid}"
    return f"setting {setting!r} is {problem['input']!r}; {valid}"


def _model_at(place: list[str]) -> type[BaseModel]:
    model: type[BaseModel] = Config
    for part in place:
        part = next((name for name, field in model.model_fields.items() if field.alias == part), part)
        if part.isdigit() or part not in model.model_fields:
            continue
        annotation: Any = model.model_fields[part].annotation
        inner = getattr(annotation, "__args__", (annotation,))[0]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return model


def _known_names(place: list[str]) -> list[str]:
    return [field.alias or name for name, field in _model_at(place).model_fields.items()]


def _field_of(place: list[str]) -> Any:
    names = [part for part in place if not part.isdigit()]
    if not names:
        return None
    fields = _model_at(names[:-1]).model_fields
    return next((field for name, field in fields.items() if names[-1] in (name, field.alias)), None)
