"""Signing keys that never leave a PKCS#11 token. A token stops copying, not use: whoever is root while it is plugged in
can sign with it."""

import errno
import hashlib
import threading
from typing import Any, NoReturn

import pkcs11
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11.exceptions import PKCS11Error

from archive.errors import ArchiveStateError

_ED25519 = pkcs11.KeyType.EC_EDWARDS, bytes.fromhex("06032b6570"), pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN
"""Key type, CKA_EC_PARAMS (DER of the curve's OID, 1.3.101.112 of RFC 8410) and mechanism."""
_P256 = pkcs11.KeyType.EC, bytes.fromhex("06082a8648ce3d030107"), pkcs11.Mechanism.EC_KEY_PAIR_GEN
_COORDINATE_BYTES = 32


_open_tokens: dict[tuple[str, str], "Token"] = {}
"""A process logs in to a token once (PKCS#11 section 5.6.8); all keys of it share that session."""


def open_token(module: str, label: str, pin: str) -> "Token":
    """The token, logged in. Raises ArchiveStateError `keys`."""
    place = module, label
    if place not in _open_tokens:
        _open_tokens[place] = Token(module, label, pin)
    return _open_tokens[place]


class Token:
    """One session with one token, logged in. Safe from several threads. Raises ArchiveStateError `keys`."""

    def __init__(self, module: str, label: str, pin: str) -> None:
        self._lock = threading.Lock()
        self._label = label
        try:
            self._session = pkcs11.lib(module).get_token(token_label=label).open(user_pin=pin, rw=True)
        except (PKCS11Error, RuntimeError) as error:
            raise ArchiveStateError(
                f"the token {label!r} of {module} cannot be opened: {describe(error)}", code="keys"
            ) from error

    def checkpoint_key(self, label: str) -> "TokenCheckpointKey":
        private, point = self._find(label, pkcs11.KeyType.EC_EDWARDS)
        return TokenCheckpointKey(self, private, Ed25519PublicKey.from_public_bytes(point[-_COORDINATE_BYTES:]))

    def package_key(self, label: str) -> "TokenPackageKey":
        private, point = self._find(label, pkcs11.KeyType.EC)
        encoded = point[-(2 * _COORDINATE_BYTES + 1) :]
        return TokenPackageKey(self, private, ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encoded))

    def make_keys(self, checkpoint_label: str, package_label: str) -> None:
        """Two new key pairs, the private halves neither readable nor extractable."""
        with self._lock:
            try:
                for label, (kind, parameters, mechanism) in ((checkpoint_label, _ED25519), (package_label, _P256)):
                    domain = self._session.create_domain_parameters(
                        kind, {pkcs11.Attribute.EC_PARAMS: parameters}, local=True
                    )
                    domain.generate_keypair(mechanism=mechanism, label=label, store=True)
            except PKCS11Error as error:
                raise ArchiveStateError(
                    f"the token {self._label!r} makes no keys: {describe(error)}", code="keys"
                ) from error

    def destroy(self, label: str) -> None:
        """Remove a key pair; nothing happens where there is none."""
        with self._lock:
            for found in list(self._session.get_objects({pkcs11.Attribute.LABEL: label})):
                found.destroy()

    def sign(self, key: Any, data: bytes, mechanism: pkcs11.Mechanism) -> bytes:
        """Raises OSError: a token may come back, and nothing is lost meanwhile."""
        with self._lock:
            try:
                return key.sign(data, mechanism=mechanism)
            except PKCS11Error as error:
                raise OSError(errno.EIO, f"the token does not sign: {describe(error)}", self._label) from error

    def _find(self, label: str, kind: pkcs11.KeyType) -> tuple[Any, bytes]:
        with self._lock:
            try:
                private = self._session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, key_type=kind, label=label)
                public = self._session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, key_type=kind, label=label)
                return private, bytes(public[pkcs11.Attribute.EC_POINT])
            except PKCS11Error as error:
                raise ArchiveStateError(
                    f"the token {self._label!r} has no usable key {label!r}: {describe(error)}", code="keys"
                ) from error


class TokenCheckpointKey:
    """Signs as an Ed25519PrivateKey does."""

    def __init__(self, token: Token, private: Any, public: Ed25519PublicKey) -> None:
        self._token, self._private, self._public = token, private, public

    def public_key(self) -> Ed25519PublicKey:
        return self._public

    def sign(self, data: bytes, /) -> bytes:
        return self._token.sign(self._private, data, pkcs11.Mechanism.EDDSA)


class TokenPackageKey(ec.EllipticCurvePrivateKey):
    """A P-256 key whose signature is made elsewhere; what would need the private number is refused."""

    def __init__(self, token: Token, private: Any, public: ec.EllipticCurvePublicKey) -> None:
        self._token, self._private, self._public = token, private, public

    @property
    def curve(self) -> ec.EllipticCurve:
        return ec.SECP256R1()

    @property
    def key_size(self) -> int:
        return 8 * _COORDINATE_BYTES

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    def sign(self, data: bytes, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """ECDSA over SHA-256, DER. Raises OSError."""
        if not isinstance(signature_algorithm, ec.ECDSA) or not isinstance(
            signature_algorithm.algorithm, hashes.SHA256
        ):
            raise ValueError("a package key signs with ECDSA over SHA-256")
        raw = self._token.sign(self._private, hashlib.sha256(data).digest(), pkcs11.Mechanism.ECDSA)
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        raise NotImplementedError("this key only signs")

    def private_numbers(self) -> NoReturn:
        raise NotImplementedError("this key does not leave its token")

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> NoReturn:
        raise NotImplementedError("this key does not leave its token")

    def __copy__(self) -> "TokenPackageKey":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "TokenPackageKey":
        return self


def describe(error: Exception) -> str:
    """What a PKCS#11 library says, which is often nothing but the name of the error."""
    return str(error) or type(error).__name__
