"""Asking a witness over HTTP for its cosignature and for the newest head it knows.

Nothing is believed but the witness's own signature, save two things that it can only say unsigned: that it has another
size, and that it does not know a log.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from archive.cosignature import WitnessKey, verify_cosignature
from archive.errors import ArchiveError
from archive.note import MAX_NOTE_BYTES, parse_checkpoint_body, parse_signature_line, split_note
from archive.witness import protocol
from archive.witness.errors import WitnessAheadError, WitnessError
from archive.witness.http_request import Answer, HttpAddress, parse_address, send_request

__all__ = ["Cosigned", "WitnessAheadError", "WitnessClient", "WitnessError"]

DEFAULT_TIMEOUT_SECONDS = 10.0
MAX_ANSWER_BYTES = MAX_NOTE_BYTES
"""The longest answer is a note."""
MAX_ATTEMPTS = 2
"""One with the size we believe the witness has, one with the size it says it has."""

ProofMaker = Callable[[int], list[bytes]]
"""Size of an older tree -> consistency proof from it to the checkpoint that is being sent."""


class Cosigned(NamedTuple):
    """A verified signature line, without its newline, and the time it states."""

    line: str
    unix_seconds: int


class WitnessClient:
    """One witness. Every failure of it is a WitnessError; holds no connection between calls."""

    def __init__(
        self,
        url: str,
        witness_key: WitnessKey,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        *,
        ca_file: Path | None = None,
    ) -> None:
        """`url` is the submission and monitoring prefix, http or https; `ca_file` holds the authority of its
        certificate where the system does not know it. Raises WitnessError for another kind of address."""
        self._ca_file = ca_file
        self.witness_key = witness_key
        self._address: HttpAddress = parse_address(url)
        self._timeout_seconds = timeout_seconds

    def add_checkpoint(self, note: bytes, old_size: int, make_proof: ProofMaker) -> Cosigned:
        """Send a signed checkpoint, of which the witness is believed to have the head of `old_size`.

        Where the witness has another size, one more attempt is made from that one. Raises WitnessAheadError, at once,
        when it has a larger one than `note`; ArchiveFormatError when `note` is no checkpoint. What `make_proof` raises
        passes through; it is not asked for a proof from size 0 or to the same size.
        """
        body, _ = split_note(note)
        size = parse_checkpoint_body(body.decode()).size
        for _attempt in range(MAX_ATTEMPTS):
            if old_size > size:
                raise WitnessAheadError(self.witness_key.name, old_size, size)
            proof = make_proof(old_size) if 0 < old_size < size else []
            answer = self._send("POST", "/add-checkpoint", protocol.format_request(old_size, proof, note))
            if answer.status == 200:
                return self._read_cosignature(answer.body, body)
            if answer.status != 409:
                raise self._refused(answer)
            refused_size, old_size = old_size, self._read_size(answer)
            if old_size == refused_size:
                raise self._refused(answer)
        if old_size > size:
            raise WitnessAheadError(self.witness_key.name, old_size, size)
        raise WitnessError(f"witness {self.witness_key.name} says twice that it has another size", status=409)

    def newest_checkpoint(self, origin: str) -> bytes | None:
        """The newest note the witness has of this log, unverified; None when it never cosigned one."""
        answer = self._send("GET", f"/{protocol.hash_origin(origin)}/checkpoint", None)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._refused(answer)
        return answer.body

    def _send(self, method: str, path: str, body: bytes | None) -> Answer:
        try:
            return send_request(
                self._address, method, path, body, self._timeout_seconds, MAX_ANSWER_BYTES, ca_file=self._ca_file
            )
        except WitnessError as error:
            raise WitnessError(f"witness {self.witness_key.name}: {error}", code=error.code) from error

    def _read_cosignature(self, answer: bytes, body: bytes) -> Cosigned:
        ours = (self.witness_key.name, self.witness_key.key_id)
        try:
            for line in protocol.parse_signatures_body(answer):
                found = parse_signature_line(line)
                if (found.name, found.key_id) == ours:
                    return Cosigned(line, verify_cosignature(line, body, self.witness_key))
        except ArchiveError as error:
            raise WitnessError(f"witness {self.witness_key.name} answered wrongly: {error}", status=200) from error
        raise WitnessError(f"witness {self.witness_key.name} answered with signatures of other keys", status=200)

    def _read_size(self, answer: Answer) -> int:
        if answer.content_type != protocol.SIZE_CONTENT_TYPE:
            raise self._refused(answer)
        try:
            return protocol.parse_size_body(answer.body)
        except ArchiveError as error:
            raise WitnessError(f"witness {self.witness_key.name} answered wrongly: {error}", status=409) from error

    def _refused(self, answer: Answer) -> WitnessError:
        reason = _REASONS.get(answer.status)
        return WitnessError(
            f"witness {self.witness_key.name} answered {answer.status}, {reason or 'which is no answer of a witness'}",
            code="witness_refused" if reason else "witness_answer",
            status=answer.status,
        )


_REASONS = {
    400: "it takes the request for malformed",
    403: "it does not accept our signature",
    404: "it does not know our log",
    409: "it has another head at this size",
    422: "it does not accept that our checkpoint continues the one it has",
}
