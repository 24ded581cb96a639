"""Where a log's signing keys are: files, credentials that systemd hands over, or a PKCS#11 token."""

import datetime
import os
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509

from archive.durable import make_directory, replace_file
from archive.errors import ArchiveStateError
from archive.keys import CERTIFICATE_FILE, GivenKeys, LogKeys, create_keys, load_keys, make_certificate
from archive.pkcs11_keys import Token, TokenCheckpointKey, TokenPackageKey, open_token

CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
"""systemd sets it for LoadCredential= (systemd.exec(5)); the files have the names of those in `keys/`."""


@dataclass(frozen=True)
class Pkcs11Settings:
    """A module's path, a token's label and the file with its PIN."""

    module: str
    token: str
    pin_file: Path

    def open(self) -> Token:
        try:
            pin = self.pin_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ArchiveStateError(
                f"the PIN in {self.pin_file} cannot be read: {error.strerror}", code="keys"
            ) from error
        return open_token(self.module, self.token, pin)


@dataclass(frozen=True)
class KeySource:
    """`directory` is where keys are made and, but for credentials, kept; with a token it holds the certificate
    alone. `given` are keys that `create` takes over instead of making them; into a token none can be put."""

    directory: Path
    is_credential: bool = False
    pkcs11: Pkcs11Settings | None = None
    given: GivenKeys | None = None

    def load(self, origin: str) -> LogKeys:
        """The keys of log `origin`. Raises ArchiveStateError `keys`."""
        if self.pkcs11 is None:
            if not self.is_credential:
                return load_keys(self.directory)
            given = os.environ.get(CREDENTIALS_VARIABLE)
            if not given:
                raise ArchiveStateError("keys come from systemd credentials, but it gave none here", code="keys")
            return load_keys(Path(given))
        token = self.pkcs11.open()
        path = self.directory / CERTIFICATE_FILE
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ArchiveStateError(f"the certificate {path} cannot be read: {error}", code="keys") from error
        return LogKeys(*_token_keys(token, origin), certificate)

    def create(self, origin: str, now: datetime.datetime) -> LogKeys:
        """Make keys for a new log; durable on return. Raises ArchiveStateError if some are there already."""
        if self.pkcs11 is None:
            # With credentials, whoever is root moves the files to where systemd reads them (docs/SETTINGS.md).
            return create_keys(self.directory, origin, now, self.given)
        if self.given is not None and self.given.checkpoint is not None:
            raise ArchiveStateError("a key that was made elsewhere cannot be put into a token", code="keys")
        if self.directory.exists() and any(self.directory.iterdir()):
            raise ArchiveStateError(f"{self.directory} already holds keys")
        make_directory(self.directory, mode=0o700)
        token = self.pkcs11.open()
        token.make_keys(*_labels(origin))
        checkpoint, package = _token_keys(token, origin)
        keys = LogKeys(checkpoint, package, make_certificate(package, origin, now))
        replace_file(self.directory / CERTIFICATE_FILE, keys.certificate_pem(), mode=0o600)
        return keys

    def at(self, directory: Path) -> "KeySource":
        """The same with another directory."""
        return replace(self, directory=directory)

    def destroy(self, origin: str, directory: Path) -> None:
        """Destroy the private keys of a log that has ended: files of `directory`, or the token's objects.

        Best effort with files: a disk may keep what was overwritten.
        """
        if self.pkcs11 is not None:
            token = self.pkcs11.open()
            for label in _labels(origin):
                token.destroy(label)
        for path in directory.glob("*.pem"):
            length = path.stat().st_size
            with path.open("r+b") as file:
                file.write(bytes(length))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()


def _labels(origin: str) -> tuple[str, str]:
    return f"phayan checkpoint {origin}", f"phayan package {origin}"


def _token_keys(token: Token, origin: str) -> tuple[TokenCheckpointKey, TokenPackageKey]:
    checkpoint, package = _labels(origin)
    return token.checkpoint_key(checkpoint), token.package_key(package)
