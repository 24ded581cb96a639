"""RFC 3161 time stamp tokens: what they say, and whether it is so.

A token counts when rfc3161-client and `openssl ts -verify` both accept it. Certificates are taken as of the token's own
time (genTime), so that a token stays good when the authority's certificate has run out. Beside the roots either the
signer or its issuer is pinned: roots alone would accept whoever else they have certified.
"""

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from rfc3161_client import TimeStampResponse, VerificationError, VerifierBuilder, decode_timestamp_response
from rfc3161_client.tsp import PKIStatus

from archive.errors import TimestampError
from archive.timestamp.openssl import openssl_verify

NS = 1_000_000_000
SHA256_TYPE = "2.16.840.1.101.3.4.2.1"
MAX_RESPONSE_BYTES = 32 * 1024
"""In base64, beside the checkpoint, it must fit what the sealer takes for a leaf (48 KiB). Usual are 1 to 10 KiB."""
SHOWN_REASON_CHARACTERS = 200
UNREADABLE = "timestamp_format"


@dataclass(frozen=True)
class Authority:
    """A time stamp authority as the settings name it. Certificates are PEM; exactly one of `signer` (the certificate
    that signs) and `issuer` (the one that issues signers, so that they may change) is pinned. `roots` may hold
    certificates between root and signer too. Raises TimestampError for anything else.
    """

    name: str
    url: str
    roots: tuple[bytes, ...]
    signer: bytes | None = None
    issuer: bytes | None = None

    def __post_init__(self) -> None:
        if (self.signer is None) == (self.issuer is None):
            raise TimestampError(f"authority {self.name} needs a pinned signer or a pinned issuer, and not both")
        if not self.root_certificates():
            raise TimestampError(f"authority {self.name} has no root certificate")
        self.pinned_certificate()

    @property
    def pinned(self) -> bytes:
        return self.signer or self.issuer or b""

    def root_certificates(self) -> list[x509.Certificate]:
        return [certificate for pem in self.roots for certificate in self._load(pem)]

    def pinned_certificate(self) -> x509.Certificate:
        found = self._load(self.pinned)
        if len(found) != 1:
            raise TimestampError(f"authority {self.name} pins {len(found)} certificates; valid is one")
        return found[0]

    def _load(self, pem: bytes) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(pem)
        except ValueError as error:
            raise TimestampError(f"a certificate of authority {self.name} is not PEM") from error


@dataclass(frozen=True)
class TokenFacts:
    """What a token states. `imprint` is the SHA-256 of the stamped bytes, `policy` a dotted object identifier."""

    unix_ns: int
    policy: str
    serial: int
    nonce: int | None
    imprint: bytes


def read_token(response: bytes) -> TokenFacts:
    """What the DER TimeStampResp `response` states, believed or not. Raises TimestampError."""
    return _facts(_parse(response))


def verify_token(response: bytes, data: bytes, authority: Authority, *, nonce: int | None = None) -> TokenFacts:
    """What `response` states, if `authority` stamped `data` with it; with `nonce`, in answer to that request.

    Raises TimestampError; code `unparsable` when openssl accepts a token that rfc3161-client cannot read: the caller
    keeps such a token as it is, and counts it as none.
    """
    try:
        parsed = _parse(response)
        facts = _facts(parsed)
    except TimestampError as error:
        if error.code == UNREADABLE:
            _explain_unreadable(response, data, authority)
        raise
    if facts.imprint != hashlib.sha256(data).digest():
        raise TimestampError("the time stamp is over other bytes")
    if nonce is not None and facts.nonce != nonce:
        raise TimestampError("the time stamp answers another request (nonce)")
    _client_verify(parsed, data, authority, nonce)
    openssl_verify(response, data, authority.roots, authority.pinned, facts.unix_ns // NS)
    return facts


def _parse(response: bytes) -> TimeStampResponse:
    if len(response) > MAX_RESPONSE_BYTES:
        raise TimestampError(f"a time stamp response of {len(response)} bytes; valid are {MAX_RESPONSE_BYTES}")
    try:
        parsed = decode_timestamp_response(response)
        again = parsed.as_bytes()
    except ValueError as error:
        raise TimestampError("the response is no time stamp response (RFC 3161)", code=UNREADABLE) from error
    if again != response:
        raise TimestampError("the time stamp response is not canonical DER", code=UNREADABLE)
    if parsed.status != PKIStatus.GRANTED:
        said = _printable("; ".join(parsed.status_string) or f"status {parsed.status}")
        raise TimestampError(f"the authority refused the time stamp: {said}", code="timestamp_refused")
    return parsed


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:SHOWN_REASON_CHARACTERS]


def _facts(parsed: TimeStampResponse) -> TokenFacts:
    try:
        stated = parsed.tst_info
        imprint = stated.message_imprint
        algorithm = imprint.hash_algorithm.dotted_string
        time = stated.gen_time
        facts = TokenFacts(
            unix_ns=int(time.timestamp()) * NS + time.microsecond * 1000,
            policy=stated.policy.dotted_string,
            serial=stated.serial_number,
            nonce=stated.nonce,
            imprint=imprint.message,
        )
    except ValueError as error:
        raise TimestampError("the response holds no time stamp that can be read", code=UNREADABLE) from error
    if algorithm != SHA256_TYPE:
        raise TimestampError(f"the time stamp uses the hash {algorithm}; valid is SHA-256 ({SHA256_TYPE})")
    return facts


def _client_verify(parsed: TimeStampResponse, data: bytes, authority: Authority, nonce: int | None) -> None:
    """rfc3161-client with the pin. Lists go to the constructor: its add_* methods change lists of other builders."""
    pinned = authority.pinned_certificate()
    try:
        VerifierBuilder(
            tsa_certificate=pinned if authority.signer else None,
            intermediates=[pinned] if authority.issuer else [],
            roots=authority.root_certificates(),
            nonce=nonce,
        ).build().verify_message(parsed, data)
        signers = [(one.issuer, one.serial_number) for one in parsed.signed_data.signer_infos]
        embedded = [x509.load_der_x509_certificate(one) for one in parsed.signed_data.certificates]
    except (VerificationError, ValueError) as error:
        raise TimestampError(f"rfc3161-client does not accept the time stamp: {_printable(str(error))}") from error
    if authority.issuer:
        _check_issuer(signers, embedded, pinned, authority)


def _check_issuer(
    signers: list[tuple[x509.Name, int]],
    embedded: list[x509.Certificate],
    issuer: x509.Certificate,
    authority: Authority,
) -> None:
    """The one certificate that the token names as its signer was issued by `issuer` itself, with no other between."""
    found = [one for one in embedded if (one.issuer, one.serial_number) in signers]
    if len(signers) != 1 or len(found) != 1:
        raise TimestampError("the time stamp does not name one signer with its certificate")
    try:
        found[0].verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise TimestampError(f"the signer was not issued by the pinned issuer of authority {authority.name}") from error


def _explain_unreadable(response: bytes, data: bytes, authority: Authority) -> None:
    """Raises TimestampError `unparsable` where openssl accepts what was not read. Returns where it does not either."""
    try:
        openssl_verify(response, data, authority.roots, authority.pinned, None)
    except TimestampError:
        return
    raise TimestampError(
        f"openssl accepts the time stamp of {authority.name} but rfc3161-client cannot read it; it counts as none",
        code="unparsable",
    )
