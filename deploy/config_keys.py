"""Settings of the signing keys."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from archive.key_source import KeySource, Pkcs11Settings
from archive.origin import ArchivePaths
from deploy.config_types import Section


class KeySettings(Section):
    """Where the log's signing keys are."""

    source: Literal["file", "credential", "pkcs11"] = Field(
        default="file",
        description="Files of DIR/keys; systemd credentials checkpoint.pem, package.pem and package.crt; or a token",
    )
    pkcs11_module: str = Field(default="", description="Library of the token, such as /usr/lib/softhsm/libsofthsm2.so")
    pkcs11_token: str = Field(default="", description="Label of the token")
    pkcs11_pin_file: str = Field(default="", description="File with the token's PIN; only the sealer may read it")

    @model_validator(mode="after")
    def _check_token(self) -> "KeySettings":
        if self.source == "pkcs11" and not (self.pkcs11_module and self.pkcs11_token and self.pkcs11_pin_file):
            raise ValueError("source pkcs11 needs pkcs11_module, pkcs11_token and pkcs11_pin_file")
        return self


def key_source(settings: KeySettings, paths: ArchivePaths) -> KeySource:
    """Where the keys of this appliance are."""
    if settings.source != "pkcs11":
        return KeySource(paths.keys, is_credential=settings.source == "credential")
    pin_file = Path(settings.pkcs11_pin_file)
    return KeySource(paths.keys, pkcs11=Pkcs11Settings(settings.pkcs11_module, settings.pkcs11_token, pin_file))
