"""Whether the fields of an `anchor` leaf (docs/FORMAT.md) are true. What is sealed can be taken out by nobody."""

from dataclasses import dataclass
from typing import Any

from archive.cosignature import WitnessKey, verify_cosignature
from archive.errors import AnchorError, ArchiveError
from archive.note import VerifierKey, decode_base64, open_checkpoint, split_note
from archive.timestamp.token import NS, Authority, verify_token

WITNESS = "witness"
AUTHORITY = "timestamp_authority"
ANCHOR_FIELDS = frozenset({"by", "name", "checkpoint", "unix_ns", "vkey", "evidence"})


@dataclass(frozen=True)
class AnchorTrust:
    """Whose word counts, from the settings."""

    witnesses: tuple[WitnessKey, ...] = ()
    authorities: tuple[Authority, ...] = ()


def check_anchor(fields: dict[str, Any], log_key: VerifierKey, trust: AnchorTrust) -> None:
    """Return if `fields` are those of an anchor leaf, over a head that `log_key` alone signed, with evidence of a
    configured witness or authority that states just this time.

    Raises AnchorError, one sentence. An authority's token is given to both verifiers, one of them a child process.
    """
    if fields.keys() != ANCHOR_FIELDS or not all(type(value) is str for value in fields.values()):
        raise AnchorError(f"the fields of an anchor are {', '.join(sorted(ANCHOR_FIELDS))}, all of them text")
    try:
        note = fields["checkpoint"].encode()
        open_checkpoint(note, log_key)
        body, signatures = split_note(note)
        if len(signatures) != 1:
            raise AnchorError("the anchor's checkpoint bears other signatures than ours")
        stated_ns = _READERS.get(fields["by"], _refuse_kind)(fields, note, body, trust)
    except AnchorError:
        raise
    except (ArchiveError, UnicodeEncodeError) as error:
        raise AnchorError(f"the anchor of {_shown(fields['name'])} is not valid: {error}") from error
    if fields["unix_ns"] != str(stated_ns):
        raise AnchorError(f"the anchor says {_shown(fields['unix_ns'])}, its evidence {stated_ns}")


def _read_witness(fields: dict[str, str], note: bytes, body: bytes, trust: AnchorTrust) -> int:
    known = [key for key in trust.witnesses if (key.name, key.text()) == (fields["name"], fields["vkey"])]
    if not known:
        raise AnchorError(f"{_shown(fields['name'])} is not a configured witness with this key")
    return verify_cosignature(fields["evidence"], body, known[0]) * NS


def _read_authority(fields: dict[str, str], note: bytes, body: bytes, trust: AnchorTrust) -> int:
    known = [authority for authority in trust.authorities if authority.name == fields["name"]]
    if not known or fields["vkey"]:
        raise AnchorError(f"{_shown(fields['name'])} is not a configured time stamp authority, which has no vkey")
    return verify_token(decode_base64(fields["evidence"]), note, known[0]).unix_ns


def _refuse_kind(fields: dict[str, str], note: bytes, body: bytes, trust: AnchorTrust) -> int:
    raise AnchorError(f"an anchor is by {_shown(fields['by'])}; valid are {WITNESS} and {AUTHORITY}")


_READERS = {WITNESS: _read_witness, AUTHORITY: _read_authority}


def _shown(text: str) -> str:
    return repr(text[:64])
