"""Whose cosignatures and time stamps count: the settings, with the certificates they name."""

from archive.anchor.check import AnchorTrust
from archive.errors import TimestampError
from archive.timestamp.token import Authority
from deploy.config_anchors import AuthoritySettings
from deploy.errors import ConfigError
from deploy.layout import Appliance

MAX_CERTIFICATES_BYTES = 1024 * 1024
"""Of a file of certificates; all that a system trusts are about 220 KiB."""


def trust_of(appliance: Appliance) -> AnchorTrust:
    """Whose anchors count, with the certificates that the settings name. Raises ConfigError."""
    anchors = appliance.config.anchors
    return AnchorTrust(
        witnesses=tuple(one.key() for one in anchors.witness),
        authorities=tuple(
            _authority(appliance, one, f"anchors.authority.{n}") for n, one in enumerate(anchors.authority)
        ),
    )


def _authority(appliance: Appliance, settings: AuthoritySettings, place: str) -> Authority:
    def read(name: str) -> bytes | None:
        path = appliance.configured_file(getattr(settings, name))
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                return file.read(MAX_CERTIFICATES_BYTES)
        except OSError as error:
            raise ConfigError(f"{place}.{name}: {path} cannot be read: {error.strerror}") from error

    try:
        return Authority(
            name=settings.name,
            url=settings.url,
            roots=(read("ca_file") or b"",),
            signer=read("signer_file"),
            issuer=read("issuer_file"),
        )
    except TimestampError as error:
        raise ConfigError(f"{place}: {error}") from error
