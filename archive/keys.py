"""The log's two keys: Ed25519 for checkpoints, ECDSA P-256 with an X.509 certificate for packages.

Held by the sealer alone: in files only its user can read, or in a token (archive.key_source). Ed25519 is no use in CMS
(OpenSSL refuses it), P-256 none in a C2SP note; hence two.
"""

import datetime
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from archive.durable import make_directory, replace_file
from archive.errors import ArchiveStateError
from archive.note import CheckpointKey, VerifierKey

CERTIFICATE_YEARS = 10
"""A package may be questioned in court years after it was made; the key itself changes with the log."""


CERTIFICATE_FILE = "package.crt"


@dataclass(frozen=True)
class LogKeys:
    """Private keys and the package certificate."""

    checkpoint: CheckpointKey
    package: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def verifier_key(self, origin: str) -> VerifierKey:
        return VerifierKey(origin, self.checkpoint.public_key().public_bytes_raw())

    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def certificate_sha256(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()


def _private_pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _cut(name: str) -> str:
    """At most 64 bytes (RFC 5280, ub-common-name), whole characters."""
    return name.encode()[:64].decode(errors="ignore")


def make_certificate(key: ec.EllipticCurvePrivateKey, origin: str, not_before: datetime.datetime) -> x509.Certificate:
    """Self-signed: its fingerprint is published, there is nobody above it."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Phayan evidence packages"),
            x509.NameAttribute(NameOID.COMMON_NAME, _cut(origin)),
        ]
    )
    usage = x509.KeyUsage(True, True, False, False, False, False, False, False, False)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before - datetime.timedelta(hours=1))
        .not_valid_after(not_before + datetime.timedelta(days=366 * CERTIFICATE_YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .sign(key, hashes.SHA256())
    )


@dataclass(frozen=True)
class GivenKeys:
    """Keys that a new log does not make itself: the checkpoint key that was announced as a successor's, the package key
    that goes on after a restore."""

    checkpoint: Ed25519PrivateKey | None = None
    package: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None = None


def create_keys(directory: Path, origin: str, now: datetime.datetime, given: GivenKeys | None = None) -> LogKeys:
    """Make and store new keys in `directory` (mode 0700), or those that are given. Raises ArchiveStateError if some are
    there already."""
    if directory.exists() and any(directory.iterdir()):
        raise ArchiveStateError(f"{directory} already holds keys")
    make_directory(directory, mode=0o700)
    os.chmod(directory, 0o700)
    given = given or GivenKeys()
    checkpoint = given.checkpoint or Ed25519PrivateKey.generate()
    package, certificate = given.package or (ec.generate_private_key(ec.SECP256R1()), None)
    certificate = certificate or make_certificate(package, origin, now)
    keys = LogKeys(checkpoint, package, certificate)
    replace_file(directory / "checkpoint.pem", _private_pem(checkpoint), mode=0o600)
    replace_file(directory / "package.pem", _private_pem(package), mode=0o600)
    replace_file(directory / CERTIFICATE_FILE, keys.certificate_pem(), mode=0o600)
    return keys


def read_checkpoint_key(path: Path) -> Ed25519PrivateKey:
    """Raises ArchiveStateError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise ArchiveStateError(f"the key {path} cannot be read: {error}", code="keys") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ArchiveStateError(f"the key {path} is of another kind", code="keys")
    return key


def read_package_key(private: bytes, certificate: bytes) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """From PEM. Raises ArchiveStateError for what is none, or where the certificate is of another key."""
    try:
        key = serialization.load_pem_private_key(private, None)
        found = x509.load_pem_x509_certificate(certificate)
    except ValueError as error:
        raise ArchiveStateError(f"the package key cannot be read: {error}", code="keys") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or found.public_key() != key.public_key():
        raise ArchiveStateError("the package key and its certificate do not belong together", code="keys")
    return key, found


def load_keys(directory: Path) -> LogKeys:
    """Read the keys. Raises ArchiveStateError when they are missing or of another kind."""
    try:
        checkpoint = serialization.load_pem_private_key((directory / "checkpoint.pem").read_bytes(), None)
        package = serialization.load_pem_private_key((directory / "package.pem").read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((directory / CERTIFICATE_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise ArchiveStateError(f"the keys in {directory} cannot be read: {error}", code="keys") from error
    if not isinstance(checkpoint, Ed25519PrivateKey) or not isinstance(package, ec.EllipticCurvePrivateKey):
        raise ArchiveStateError(f"the keys in {directory} are of another kind", code="keys")
    return LogKeys(checkpoint, package, certificate)
