"""Names of exporters, interfaces and uplinks, and whose addresses are whose, as of any time. Pure.

At a time hold the facts stated last before it. An uplink's network that is dated by a later statement counts for the
days it names too: so the list can be completed afterwards, and the answer names the record that says so.
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from archive.attribution.facts_at import CARRIER_NAT, Exporter, FactsAt, OwnNetwork, is_private
from archive.attribution.folding import Row, evidence_of, place_in_logs
from archive.network_settings import KINDS, STATED, fact_key

NS = 1_000_000_000


class NetworkFacts:
    """Every statement of the journal. Rows are of table `identity`, with `details_object`."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._by_key: dict[str, list[Row]] = {}
        for row in sorted(rows, key=lambda r: (r["time_unix_ns"], *place_in_logs(r))):
            try:
                key = fact_key(row["details_object"])
            except (KeyError, TypeError):
                continue
            self._by_key.setdefault(key, []).append(row)
        rows_read = [row for statements in self._by_key.values() for row in statements]
        self._changes = sorted(
            {row["time_unix_ns"] for row in rows_read} | {m for r in rows_read for m in _midnights(r)}
        )
        self._at: dict[int, FactsAt] = {}

    def at(self, moment_ns: int) -> FactsAt:
        """What holds at a moment."""
        period = bisect_right(self._changes, moment_ns)
        if period not in self._at:
            self._at[period] = self._compute(moment_ns)
        return self._at[period]

    def _compute(self, moment_ns: int) -> FactsAt:
        exporters, networks, complete = [], [], []
        for statements in self._by_key.values():
            then = next((row for row in reversed(statements) if row["time_unix_ns"] <= moment_ns), None)
            if then is not None and then["event"] != STATED:
                then = None
            if "exporter" in statements[0]["details_object"]:
                exporters += [] if then is None else _exporter(then)
                continue
            of_then = [] if then is None else list(_networks(then, moment_ns, dated_only=False))
            last = statements[-1]
            later = _networks(last, moment_ns, dated_only=True) if last["event"] == STATED and last is not then else ()
            known = {one.network for one in of_then}
            found = [*of_then, *(one for one in later if one.network not in known)]
            networks += found
            if found or then is not None:
                complete.append(any(one.is_ours != (one.kind == CARRIER_NAT) for one in found))
        return FactsAt(tuple(exporters), tuple(networks), bool(complete) and all(complete))


def _exporter(row: Row) -> list[Exporter]:
    details = row["details_object"]
    interfaces = {}
    try:
        network = ipaddress.ip_network(details["exporter"])
        for one in details["interfaces"]:
            interfaces[int(one["number"])] = (str(one["name"]), str(one.get("uplink") or ""))
        return [Exporter(network, str(details["name"]), interfaces, evidence_of(row))]
    except (KeyError, TypeError, ValueError, AttributeError):
        return []


def _networks(row: Row, moment_ns: int, *, dated_only: bool) -> Iterator[OwnNetwork]:
    details = row["details_object"]
    try:
        zone, kind, listed = ZoneInfo(details["zone"]), details["kind"], list(details["networks"])
    except (KeyError, TypeError, ValueError, OSError):
        return
    if kind not in KINDS:
        return
    for one in listed:
        try:
            network = ipaddress.ip_network(one["network"])
            held = _held(one, zone, moment_ns)
            dated = one.get("from") is not None
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        if held and (dated or not dated_only):
            ours = kind != CARRIER_NAT or is_private(_mapped(network.network_address))
            yield OwnNetwork(network, str(details["uplink"]), kind, ours, evidence_of(row))


def _held(one: dict[str, Any], zone: ZoneInfo, moment_ns: int) -> bool:
    """Whether a moment lies on the days of a network, first and last one included."""
    starts, ends = one.get("from"), one.get("until")
    if starts is not None and moment_ns < _midnight_ns(date.fromisoformat(starts), zone):
        return False
    return ends is None or moment_ns < _midnight_ns(date.fromisoformat(ends) + timedelta(days=1), zone)


def _midnights(row: Row) -> Iterator[int]:
    """When the days of an uplink's networks begin and end."""
    details = row["details_object"]
    try:
        zone, listed = ZoneInfo(details["zone"]), list(details["networks"])
        for one in listed:
            for day, more in ((one.get("from"), 0), (one.get("until"), 1)):
                if day is not None:
                    yield _midnight_ns(date.fromisoformat(day) + timedelta(days=more), zone)
    except (KeyError, TypeError, ValueError, OSError, AttributeError):
        return


def _midnight_ns(day: date, zone: ZoneInfo) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * NS


def _mapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    return bytes(10) + b"\xff\xff" + address.packed if address.version == 4 else address.packed
