"""A package for one receiver: CMS EnvelopedData (RFC 5652) to a certificate, opened by `openssl cms -decrypt`. Pure."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7EnvelopeBuilder, PKCS7Options

from archive.errors import ArchiveFormatError

LEAST_KEY_BITS = 2048


def read_receiver(pem: bytes) -> x509.Certificate:
    """The certificate to encrypt to. Raises ArchiveFormatError where it cannot be encrypted to."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
    except ValueError as error:
        raise ArchiveFormatError(
            "the receiver's certificate is not PEM; valid is one certificate", code="receiver"
        ) from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < LEAST_KEY_BITS:
        raise ArchiveFormatError(
            f"the receiver has no RSA key of {LEAST_KEY_BITS} bits or more; only to such it can be encrypted",
            code="receiver",
        )
    return certificate


def encrypt_package(stored: bytes, receiver: x509.Certificate) -> bytes:
    """DER of an envelope with AES-256-CBC, its key under RSA (PKCS #1 v1.5). The package inside is signed; the
    envelope is not, and protects nothing but the content's secrecy."""
    builder = PKCS7EnvelopeBuilder().set_data(stored)
    builder = builder.set_content_encryption_algorithm(algorithms.AES256)
    return builder.add_recipient(receiver).encrypt(Encoding.DER, [PKCS7Options.Binary])
