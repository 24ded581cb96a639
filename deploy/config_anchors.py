"""Section of the configuration about what ties the log to the world: witnesses, time stamp authorities, copies."""

from collections.abc import Iterable

from pydantic import Field, ValidationInfo, field_validator, model_validator

from archive.cosignature import WitnessKey, parse_witness_key
from archive.errors import ArchiveError
from archive.witness.http_request import parse_address
from deploy.config_types import Section


def _check_url(value: str) -> str:
    try:
        parse_address(value)
    except ArchiveError:
        raise ValueError("valid is an address of the form https://host[:port][/path], or http://") from None
    return value


class WitnessSettings(Section):
    """A witness (C2SP tlog-witness) that cosigns every head."""

    url: str = Field(max_length=1000, description="Its submission prefix, http or https")
    vkey: str = Field(max_length=1000, description="Its verifier key, name+id+key, as it publishes it")
    name: str = Field(
        default="", max_length=255, validate_default=True, description="Name in its key; empty: whatever the key says"
    )

    ca_file: str = Field(
        default="", description="PEM file of who issued its https certificate; empty: whom the system trusts"
    )

    _check = field_validator("url")(_check_url)

    @field_validator("vkey")
    @classmethod
    def _check_vkey(cls, value: str) -> str:
        try:
            parse_witness_key(value)
        except ArchiveError as error:
            raise ValueError(f"valid is the verifier key of a witness, name+id+key of type 4 ({error})") from None
        return value

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str, info: ValidationInfo) -> str:
        vkey = info.data.get("vkey", "")
        if value and vkey and value != parse_witness_key(vkey).name:
            raise ValueError(f"valid is {parse_witness_key(vkey).name!r}, the name in vkey, or nothing")
        return value

    def key(self) -> WitnessKey:
        return parse_witness_key(self.vkey)


class AuthoritySettings(Section):
    """A time stamp authority (RFC 3161). Give either its signer or the issuer of its signers."""

    name: str = Field(pattern=r"^[a-z0-9_-]{1,32}$", description="Name in the log and in file names")
    url: str = Field(max_length=1000, description="Where it takes requests, http or https")
    ca_file: str = Field(min_length=1, description="PEM file of its root, and of certificates between root and signer")
    signer_file: str = Field(default="", description="PEM file of the one certificate that signs")
    issuer_file: str = Field(
        default="", description="PEM file of the certificate that issues its signers, which may then change"
    )

    _check = field_validator("url")(_check_url)

    @model_validator(mode="after")
    def _check_pin(self) -> "AuthoritySettings":
        if bool(self.signer_file) == bool(self.issuer_file):
            raise ValueError(f"authority {self.name!r} has to name signer_file or issuer_file, one of the two")
        return self


class AnchorsSettings(Section):
    """What ties the log to the world outside, so that not even who holds its key can change what is past."""

    timestamp_interval_seconds: int = Field(
        default=3600, ge=60, le=86_400, description="Each authority stamps the newest head once in this time"
    )
    copies: list[str] = Field(
        default=[],
        max_length=16,
        description="Head files or published checkpoints on mounted copies, read before the first signature of a start",
    )
    witness: list[WitnessSettings] = Field(default=[], max_length=16)
    authority: list[AuthoritySettings] = Field(default=[], max_length=16)

    @model_validator(mode="after")
    def _check_names(self) -> "AnchorsSettings":
        _refuse_twice((one.key().name for one in self.witness), "witness")
        _refuse_twice((one.name for one in self.authority), "authority")
        return self


def _refuse_twice(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} {name!r} is given twice; give it once")
        seen.add(name)
