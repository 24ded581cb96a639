"""An anchor is sealed only if every field of it is true."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archive.anchor.check import AnchorTrust, check_anchor
from archive.errors import AnchorError
from archive.timestamp.token import read_token
from tests.archive.published_log import MemoryWitness, PublishedByHand, private_key
from tests.archive.tsa_maker import MadeAuthority
from tests.clocks import NS, ManualClock

Fields = dict[str, Any]


class Office:
    """A log, a witness and an authority, and an anchor of each."""

    def __init__(self, folder: Path, authority: MadeAuthority, origin: str = "phayan.test/anchored") -> None:
        self.clock = ManualClock()
        self.log = PublishedByHand(folder, origin)
        self.witness = MemoryWitness(self.log.key, self.clock)
        self.authority = authority
        self.trust = AnchorTrust((self.witness.key,), (authority.pinned(),))

    def cosigned(self) -> Fields:
        note = self.log.note
        cosigned = self.witness.cosign(note)
        return {
            "by": "witness",
            "name": self.witness.name,
            "checkpoint": note.decode(),
            "unix_ns": str(cosigned.unix_seconds * NS),
            "vkey": self.witness.key.text(),
            "evidence": cosigned.line,
        }

    def stamped(self, note: bytes | None = None) -> Fields:
        note = note or self.log.note
        response = self.authority.stamp(note)
        return {
            "by": "timestamp_authority",
            "name": self.authority.name,
            "checkpoint": note.decode(),
            "unix_ns": str(read_token(response).unix_ns),
            "vkey": "",
            "evidence": base64.b64encode(response).decode(),
        }

    def refused(self, fields: Fields, trust: AnchorTrust | None = None) -> str:
        with pytest.raises(AnchorError) as caught:
            check_anchor(fields, self.log.key, self.trust if trust is None else trust)
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def office(tmp_path: Path, made_authority: MadeAuthority) -> Office:
    return Office(tmp_path / "data", made_authority)


def test_true_anchors_pass(office: Office) -> None:
    check_anchor(office.cosigned(), office.log.key, office.trust)
    check_anchor(office.stamped(), office.log.key, office.trust)


@pytest.mark.parametrize("kind", ["cosigned", "stamped"])
def test_every_changed_field_is_refused(office: Office, kind: str) -> None:
    fields = getattr(office, kind)()
    other = getattr(office, "stamped" if kind == "cosigned" else "cosigned")()
    office.log.grow()
    later = getattr(office, kind)()
    for name, value in fields.items():
        for wrong in (value + "x", "x" + value, value[:-1] if value else " ", "" if value else "+", 7, None, [value]):
            office.refused({**fields, name: wrong})
        if other[name] != value:
            office.refused({**fields, name: other[name]})
        if later[name] != value and name not in ("unix_ns",):
            office.refused({**fields, name: later[name]})
        office.refused({k: v for k, v in fields.items() if k != name})
    office.refused({**fields, "more": ""})
    office.refused({**fields, "unix_ns": "0" + fields["unix_ns"]})
    office.refused({**fields, "unix_ns": str(int(fields["unix_ns"]) + 1)})
    check_anchor(fields, office.log.key, office.trust)


@pytest.mark.parametrize("kind", ["cosigned", "stamped"])
def test_who_is_not_configured_does_not_count(office: Office, kind: str, tmp_path: Path) -> None:
    fields = getattr(office, kind)()
    assert "not a configured" in office.refused(fields, AnchorTrust())
    if kind == "cosigned":
        other = replace(office.witness.key, public_key=private_key("another").public_key().public_bytes_raw())
        office.refused(fields, replace(office.trust, witnesses=(other,)))
    else:
        pins = MadeAuthority(office.authority.name, tmp_path / "other").pinned()
        office.refused(fields, replace(office.trust, authorities=(pins,)))


@pytest.mark.parametrize("kind", ["cosigned", "stamped"])
def test_an_anchor_of_another_log_is_refused(office: Office, kind: str, tmp_path: Path) -> None:
    elsewhere = Office(tmp_path / "elsewhere", office.authority, "phayan.test/elsewhere")
    fields = getattr(elsewhere, kind)()
    check_anchor(fields, elsewhere.log.key, elsewhere.trust)
    assert "phayan.test/anchored" in office.refused(fields)


def test_a_head_that_bears_more_than_our_signature_is_refused(office: Office) -> None:
    """Else what is stamped would not be what we published."""
    note = office.log.note
    cosigned = note + f"{office.witness.cosign(note).line}\n".encode()
    assert "other signatures" in office.refused(office.stamped(cosigned))
    twice = note + note.splitlines(keepends=True)[-1]
    assert "other signatures" in office.refused(office.stamped(twice))


def test_text_that_is_none(office: Office) -> None:
    office.refused({**office.cosigned(), "checkpoint": "\ud800"})
    office.refused({**office.stamped(), "evidence": "\ud800"})
    office.refused({**office.cosigned(), "evidence": "\ud800"})
