"""Which events belong together: translations by every address and port, sessions by device and session id. Pure."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from archive.attribution.folding import NO_ADDRESS, Interval, Row, fold_group, in_order, place_in_logs

_MAPPING_KEY = (
    "realm", "sender_address", "mapping_id", "outside_address", "outside_port_low", "outside_port_high",
    "protocol", "destination_address", "destination_port", "inside_address", "inside_port",
)  # fmt: skip
_IPV4_PREFIX = bytes(10) + b"\xff\xff"


def fold_mappings(rows: Iterable[Row]) -> list[Interval]:
    """Intervals of address translations. Two mappings are one only if every address and port and the device's own
    identifier agree: a NAT may give one outside port to several inside hosts at once."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in in_order(rows):
        groups.setdefault(tuple(row[name] for name in _MAPPING_KEY), []).append(row)
    return [interval for group in groups.values() for interval in fold_group(group)]


def fold_sessions(rows: Iterable[Row]) -> list[Interval]:
    """Intervals of sessions, one for each address a session had; retransmitted packets are taken once.

    A NAS that says it restarted ends its sessions. A log-in that names neither session nor address (an accept before
    the accounting begins) is no session.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    restarts: dict[tuple[Any, ...], list[Row]] = {}
    for row in _once(rows):
        device = (row["realm"], row["kind"], row["nas_address"])
        if row["event"] in ("nas_on", "nas_off"):
            ends = {"event": "close", "ended_why": "nas_restart", "inferred": True, "address": NO_ADDRESS}
            restarts.setdefault(device, []).append({**row, **ends})
        elif row["event"] in ("open", "update", "close"):
            if row["session_id"]:
                groups.setdefault((*device, row["session_id"]), []).append(row)
            elif row["address"] != NO_ADDRESS:
                # Nothing ties these to each other but that they say the same of the same address.
                key = (*device, "", row["account"], row["station"], row["address"])
                groups.setdefault(key, []).append(row)
    found: list[Interval] = []
    for key, group in groups.items():
        events = in_order([*group, *restarts.get(key[:3], [])])
        for address in dict.fromkeys(row["address"] for row in group if row["address"] != NO_ADDRESS):
            found += [i for i in fold_group(_events_of(address, events)) if i.first["address"] == address]
    return found


def _once(rows: Iterable[Row]) -> Iterator[Row]:
    seen: set[tuple[str, str]] = set()
    for row in in_order(rows):
        key = (row["realm"], row["dedup_key"])
        if not row["dedup_key"] or key not in seen:
            seen.add(key)
            yield row


def _events_of(address: bytes, events: list[Row]) -> Iterator[Row]:
    """A session's events as they bear on one of its addresses. A packet may carry several; a session has one IPv4
    address at a time, so that another one in a later packet ends the former."""
    for _, records in groupby(events, key=lambda r: (r["time_unix_ns"], *place_in_logs(r))):
        packet = list(records)
        row = next((r for r in packet if r["address"] == address), packet[0])
        if row["address"] in (address, NO_ADDRESS):
            yield row
        elif row["event"] != "close" and _is_ipv4(address) and any(_is_ipv4(r["address"]) for r in packet):
            yield {**row, "event": "close", "ended_why": "moved", "inferred": True, "address": NO_ADDRESS}
        else:
            yield {**row, "address": NO_ADDRESS}


def _is_ipv4(address: bytes) -> bool:
    return address.startswith(_IPV4_PREFIX)
