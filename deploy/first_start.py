"""Making a data directory: log, keys, the portal's certificate, the identity of a demo."""

import datetime
import ipaddress
import secrets
import socket
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from archive.clock import SystemClock
from archive.durable import make_directory, replace_file
from archive.origin import create_log
from deploy.config_keys import key_source
from deploy.layout import Appliance

PORTAL_CERTIFICATE_DAYS = 825
"""Longest that phones accept for a certificate they are asked to trust."""


def make_origin(name: str | None, *, demo: bool) -> str:
    """A name no other log has: the host's name and four random bytes, or what the owner chose."""
    if name:
        return name
    host = socket.gethostname().split(".")[0].lower() or "box"
    return f"{'demo.' if demo else ''}{host}.phayan.invalid/{secrets.token_hex(4)}"


def create_appliance(appliance: Appliance, origin: str | None = None) -> str:
    """Make everything a first start needs. Returns the origin. Raises ArchiveStateError if a log is there already."""
    make_directory(appliance.directory, mode=0o750)
    name = make_origin(origin, demo=appliance.demo)
    create_log(appliance.paths, name, SystemClock(), source=key_source(appliance.config.keys, appliance.paths))
    for folder in ("accounts", "packages", "portal"):
        make_directory(appliance.directory / folder, mode=0o700)
    create_portal_certificate(appliance.directory / "portal", appliance.config.portal.host_name)
    if appliance.demo:
        (appliance.directory / "demo").write_text(
            "This directory holds invented demonstration data.\n", encoding="utf-8"
        )
    return name


def create_portal_certificate(directory: Path, host_name: str) -> None:
    """A self-signed certificate, so that every form is https from the first minute; the owner replaces it with
    a public one."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    host = host_name or socket.gethostname() or "localhost"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    try:
        names.append(x509.IPAddress(ipaddress.ip_address(host)))
    except ValueError:
        names.append(x509.DNSName(host))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=PORTAL_CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    make_directory(directory, mode=0o700)
    replace_file(directory / "portal.key", pem, mode=0o600)
    replace_file(directory / "portal.crt", certificate.public_bytes(serialization.Encoding.PEM))
