"""Asking a time stamp authority over HTTP (RFC 3161 section 3.4)."""

from dataclasses import replace
from urllib.parse import urlsplit

from rfc3161_client import TimestampRequestBuilder
from rfc3161_client.base import HashAlgorithm

from archive.errors import TimestampError
from archive.timestamp.token import MAX_RESPONSE_BYTES, Authority, verify_token
from archive.witness.errors import WitnessError
from archive.witness.http_request import parse_address, send_request

QUERY_TYPE = "application/timestamp-query"
REPLY_TYPE = "application/timestamp-reply"
DEFAULT_TIMEOUT_SECONDS = 20.0
"""Public authorities answer within two seconds; a satellite line needs more."""


class UnreadTimestampError(TimestampError):
    """A `response` to be kept as it is: openssl accepts it, rfc3161-client cannot read it."""

    code = "unparsable"

    def __init__(self, message: str, response: bytes) -> None:
        super().__init__(message)
        self.response = response


def request_timestamp(authority: Authority, data: bytes, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> bytes:
    """The DER TimeStampResp of `authority` over `data`, verified as an answer to this request.

    Raises TimestampError: code `authority_unreachable` when there was no answer to judge; UnreadTimestampError for a
    token that only openssl accepts.
    """
    request = TimestampRequestBuilder(data=data, hash_algorithm=HashAlgorithm.SHA256, nonce=True, cert_req=True).build()
    response = _post(authority, request.as_bytes(), timeout_seconds)
    try:
        verify_token(response, data, authority, nonce=request.nonce)
    except TimestampError as error:
        if error.code == "unparsable":
            raise UnreadTimestampError(str(error), response) from error
        raise
    return response


def _post(authority: Authority, body: bytes, timeout_seconds: float) -> bytes:
    try:
        # The path is taken as it was given: an authority may tell `/tsa` from `/tsa/`.
        address = replace(parse_address(authority.url), prefix="")
        path = urlsplit(authority.url).path or "/"
        answer = send_request(address, "POST", path, body, timeout_seconds, MAX_RESPONSE_BYTES, content_type=QUERY_TYPE)
    except WitnessError as error:
        raise TimestampError(f"authority {authority.name}: {error}", code="authority_unreachable") from error
    if answer.status != 200:
        raise TimestampError(
            f"authority {authority.name} answers HTTP {answer.status}; valid is 200", code="authority_unreachable"
        )
    if answer.content_type != REPLY_TYPE:
        raise TimestampError(f"authority {authority.name} answers with {answer.content_type[:64]!r}, not {REPLY_TYPE}")
    return answer.body
