"""What a case or a hold is about: subjects and an interval, both ends included. Pure.

Moments are nanoseconds since 1970; `archive.cases.scope_text` reads scopes as people write them.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from archive.attribution.question import Question
from archive.time_text import format_iso

SCOPE_FORMAT = 1
SUBJECT_KEYS = ("persons", "accounts", "addresses", "devices")


@dataclass(frozen=True, order=True)
class SubjectAddress:
    """A network in canonical text (`10.0.0.7/32`); `realm` empty means every realm."""

    network: str
    realm: str = ""

    def holds(self, address: bytes, realm: str | None) -> bool:
        """Whether 16 bytes lie in it, in `realm`. None is every realm at once, which one realm does not hold."""
        value = ipaddress.IPv6Address(address)
        network = ipaddress.ip_network(self.network)
        return (value.ipv4_mapped or value) in network and self.realm in ("", realm)

    def range16(self) -> tuple[str, str]:
        """First and last address as texts of type IPv6, IPv4 mapped."""
        network = ipaddress.ip_network(self.network)
        prefix = "::ffff:" if network.version == 4 else ""
        return f"{prefix}{network[0]}", f"{prefix}{network[-1]}"

    def text(self) -> str:
        """`10.0.0.7@main`, `10.0.0.0/24`."""
        network = ipaddress.ip_network(self.network)
        shown = str(network[0]) if network.num_addresses == 1 else self.network
        return f"{shown}@{self.realm}" if self.realm else shown


@dataclass(frozen=True)
class Scope:
    """Subjects, sorted and each once, and the interval [from_unix_ns, until_unix_ns]. Devices are written
    `aa:bb:cc:dd:ee:ff`."""

    from_unix_ns: int
    until_unix_ns: int
    persons: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    addresses: tuple[SubjectAddress, ...] = ()
    devices: tuple[str, ...] = ()

    def to_json(self, zone: str) -> dict[str, Any]:
        """The scope object of docs/CONTRACT.md."""
        return {
            "format": SCOPE_FORMAT,
            "persons": list(self.persons),
            "accounts": list(self.accounts),
            "addresses": [{"network": one.network, "realm": one.realm or None} for one in self.addresses],
            "devices": list(self.devices),
            "from": format_iso(self.from_unix_ns, zone),
            "until": format_iso(self.until_unix_ns, zone),
        }

    def covers_question(self, question: Question, zone: str) -> tuple[str, str] | None:
        """None where the question lies inside; else what lies outside, in English and Thai.

        The asked address counts, or the destination where no address is asked. The whole window counts, not its middle.
        """
        start, end = question.window
        if start < self.from_unix_ns or end > self.until_unix_ns:
            asked = f"{format_iso(start, zone)} to {format_iso(end, zone)}"
            given = f"{format_iso(self.from_unix_ns, zone)} to {format_iso(self.until_unix_ns, zone)}"
            return (
                f"the asked interval {asked} lies outside the case's interval {given}",
                f"ช่วงเวลาที่ถาม {asked} อยู่นอกช่วงเวลาของเรื่อง {given}",
            )
        asked_address = question.address if question.address is not None else question.to_address
        if asked_address is None or not any(one.holds(asked_address, question.realm) for one in self.addresses):
            value = ipaddress.IPv6Address(asked_address) if asked_address is not None else None
            shown = str(value.ipv4_mapped or value) if value is not None else "-"
            realm = f" in realm {question.realm}" if question.realm else ""
            listed = ", ".join(one.text() for one in self.addresses) or "none"
            return (
                f"the address {shown}{realm} is not in the case's scope, whose addresses are: {listed}",
                f"ที่อยู่ {shown} ไม่อยู่ในขอบเขตของเรื่อง ซึ่งมีที่อยู่: {listed}",
            )
        return None

    def holds_subjects_of(self, other: "Scope") -> bool:
        """Whether every subject of `other` is one of these."""
        return all(set(getattr(other, key)) <= set(getattr(self, key)) for key in SUBJECT_KEYS)


def merge_scopes(scopes: Iterable[Scope]) -> list[Scope]:
    """The same records in fewer scopes: intervals of equal subjects that touch become one, and what another scope
    contains is left out. In order of time."""
    merged: list[Scope] = []
    for scope in sorted(scopes, key=lambda one: (one.from_unix_ns, one.until_unix_ns)):
        for place, other in enumerate(merged):
            if _subjects(other) == _subjects(scope) and scope.from_unix_ns <= other.until_unix_ns + 1:
                merged[place] = replace(other, until_unix_ns=max(other.until_unix_ns, scope.until_unix_ns))
                break
        else:
            merged.append(scope)
    return [one for one in merged if not any(_contains(other, one) for other in merged if other is not one)]


def _subjects(scope: Scope) -> tuple[Any, ...]:
    return tuple(getattr(scope, key) for key in SUBJECT_KEYS)


def _contains(outer: Scope, inner: Scope) -> bool:
    spans = outer.from_unix_ns <= inner.from_unix_ns and inner.until_unix_ns <= outer.until_unix_ns
    return spans and outer.holds_subjects_of(inner) and outer != inner
