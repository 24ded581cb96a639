"""Settings of copies of the archive at other places, and of the key that opens their state."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import Field, model_validator

from archive.copies.directory_target import DirectoryTarget
from archive.copies.s3_target import S3Target
from archive.copies.sftp_target import SftpTarget
from archive.copies.target import UNREACHABLE, CopyError, Target
from deploy.config_types import Section

MAX_SECRET_BYTES = 4096
RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")
SSH_PORT = 22


class CopySettings(Section):
    """A place where a copy of the archive is kept. Secrets are in files."""

    name: str = Field(pattern=r"^[a-z0-9_-]{1,32}$", description="Name in commands, status and alarms")
    url: str = Field(
        max_length=1000, description="A directory `/path`, `sftp://user@host:port/path`, or `s3://bucket/prefix`"
    )
    key_file: str = Field(default="", description="sftp: file with the private key")
    host_key: str = Field(
        default="", max_length=2000, description="sftp: the server's key, `type base64`; another one is refused"
    )
    endpoint: str = Field(default="", max_length=1000, description="s3: address of the service; empty: Amazon")
    access_key_file: str = Field(default="", description="s3: file with the access key and the secret, a line each")
    region: str = Field(default="", max_length=64, description="s3: region; empty: us-east-1")
    interval_minutes: int = Field(default=15, ge=1, le=43_200, description="A pass begins so long after the last one")
    lock: bool = Field(
        default=False, description="s3: lock what belongs to a day until it is due (Object Lock, compliance)"
    )

    @model_validator(mode="after")
    def _check_place(self) -> "CopySettings":
        split_address(self.url)
        kind = urlsplit(self.url).scheme
        if kind == "sftp" and not (self.key_file and self.host_key):
            raise ValueError(f"copy {self.name!r} needs key_file and host_key")
        if kind == "s3" and not self.access_key_file:
            raise ValueError(f"copy {self.name!r} needs access_key_file")
        return self


class RecoverySettings(Section):
    """The key that opens the state in copies."""

    recipient: str = Field(
        default="",
        pattern=f"^({RECIPIENT.pattern})?$",
        description="Public part of a recovery key, age1...; empty: what `phayan recovery-key create` left in DIR",
    )


@dataclass(frozen=True)
class Address:
    """Parts of an address; `kind` is `directory`, `sftp` or `s3`."""

    kind: str
    path: str
    host: str = ""
    port: int = SSH_PORT
    user: str = ""


def split_address(url: str) -> Address:
    """Raises ValueError."""
    valid = "valid is /path, sftp://user@host[:port]/path or s3://bucket[/prefix]"
    if url.startswith("/"):
        return Address("directory", url)
    try:
        parts = urlsplit(url)
        port = parts.port or SSH_PORT
    except ValueError:
        raise ValueError(valid) from None
    if parts.scheme == "sftp" and parts.hostname and parts.username and parts.path and not parts.password:
        return Address("sftp", unquote(parts.path), parts.hostname, port, unquote(parts.username))
    if parts.scheme == "s3" and parts.netloc and not parts.query:
        return Address("s3", parts.path.strip("/"), parts.netloc)
    raise ValueError(valid)


def check_copy_names(copies: list[CopySettings]) -> None:
    """Raises ValueError."""
    names = [copy.name for copy in copies]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"copy {name!r} is given twice; give it once")


def open_target(copy: CopySettings, folder: Path) -> Target:
    """The place of a copy; file names are relative to `folder`. Raises CopyError."""
    address = split_address(copy.url)
    if address.kind == "directory":
        return DirectoryTarget(Path(address.path))
    if address.kind == "sftp":
        return SftpTarget(
            user=address.user,
            host=address.host,
            port=address.port,
            root=address.path,
            key_file=folder / copy.key_file,
            host_key=copy.host_key,
        )
    secret = _read_secret(folder / copy.access_key_file).split()
    if len(secret) != 2:
        raise CopyError(
            f"{copy.access_key_file} has to hold the access key and the secret, a line each", code=UNREACHABLE
        )
    return S3Target(
        bucket=address.host,
        prefix=address.path,
        access_key=secret[0],
        secret_key=secret[1],
        endpoint=copy.endpoint,
        region=copy.region,
        lock=copy.lock,
    )


def _read_secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_SECRET_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise CopyError(f"{path} cannot be read: {error.strerror}", code=UNREACHABLE) from error
