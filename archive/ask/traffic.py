"""The nine fields of computer-traffic data (source, origin, destination, route, time, date, volume, duration, type of
service) of a flow, each filled or named as unknown; and the route of a translation. Pure.

Source is the host that sent; origin is what the other side saw it as: its translated address, or the source itself
where that is an address of the internet. Names are those that held when the flow began.
"""

from collections.abc import Mapping
from typing import Any

from archive.addresses import format_address, format_endpoint
from archive.ask.services import service_name
from archive.attribution.facts_at import Exporter, FactsAt, is_private
from archive.attribution.network_facts import NetworkFacts
from archive.schema import UNKNOWN_ADDRESS
from archive.time_text import format_iso

NS = 1_000_000_000
_ZERO_IPV4 = bytes(10) + b"\xff\xff" + bytes(4)
_DATE_CHARACTERS = 10

Row = Mapping[str, Any]


def flow_traffic(row: Row, facts: NetworkFacts, zone: str) -> dict[str, Any]:
    """The `traffic` object of a row of `flows` with `start_unix_ns`, `end_unix_ns` and `received_unix_ns`. A time that
    is not carried is that of receipt, and `time_of` says so; `unknown` names what is null."""
    start_ns, end_ns = row["start_unix_ns"], row["end_unix_ns"]
    moment_ns = row["received_unix_ns"] if start_ns is None else start_ns
    when = format_iso(moment_ns, zone)
    fields = {
        "source": _endpoint(row, "source"),
        "origin": _origin(row),
        "destination": _endpoint(row, "destination"),
        "route": flow_route(row, facts.at(moment_ns)),
        "date": when[:_DATE_CHARACTERS],
        "time": when[_DATE_CHARACTERS + 1 :],
        "time_of": "receipt" if start_ns is None else "start",
        "volume_bytes": row["bytes"],
        "volume_packets": row["packets"],
        "duration_seconds": None if start_ns is None or end_ns is None else round((end_ns - start_ns) / NS, 6),
        "service": service_name(row["protocol"], row["source_port"], row["destination_port"]),
    }
    unknown = [name for name, value in fields.items() if value is None]
    unknown += [f"route.{name}" for name, value in fields["route"].items() if value is None]
    return {**fields, "unknown": unknown}


def flow_route(row: Row, facts: FactsAt) -> dict[str, Any]:
    """Exporter, interfaces and uplink by name; null where no setting of that time names them."""
    exporter = facts.exporter_of(row["exporter_address"])
    output, out_uplink = _interface(exporter, row["output_interface"])
    entrance, in_uplink = _interface(exporter, row["input_interface"])
    return {
        "exporter": exporter.name if exporter else None,
        "exporter_address": format_address(row["exporter_address"]),
        "input_interface": entrance,
        "output_interface": output,
        "uplink": out_uplink or in_uplink or _uplink_of_addresses(row, facts),
    }


def translation_route(sender_address: bytes, outside_address: bytes, facts: FactsAt) -> dict[str, Any]:
    """Exporter and uplink by name of a translation; its outside address tells the uplink."""
    exporter, network = facts.exporter_of(sender_address), facts.network_of(outside_address)
    return {
        "exporter": exporter.name if exporter else None,
        "exporter_address": format_address(sender_address),
        "uplink": network.uplink if network and network.is_ours else None,
    }


def _interface(exporter: Exporter | None, number: int | None) -> tuple[str | None, str | None]:
    """Name of an interface and of its uplink."""
    if exporter is None or number is None or number not in exporter.interfaces:
        return None, None
    name, uplink = exporter.interfaces[number]
    return name, uplink or None


def _uplink_of_addresses(row: Row, facts: FactsAt) -> str | None:
    """The uplink that has an outside address of the flow: after, or for an answer before, its translation."""
    names = ("postnat_source_address", "destination_address", "source_address")
    for address in (row[name] for name in names):
        found = None if address is None else facts.network_of(address)
        if found is not None and found.is_ours:
            return found.uplink
    return None


def _endpoint(row: Row, side: str) -> str | None:
    address = row[f"{side}_address"]
    return None if address == UNKNOWN_ADDRESS else format_endpoint(address, row[f"{side}_port"])


def _origin(row: Row) -> str | None:
    outside, source = row["postnat_source_address"], row["source_address"]
    if outside not in (None, UNKNOWN_ADDRESS, _ZERO_IPV4):
        unchanged = outside == source and row["postnat_source_port"] is None
        return format_endpoint(outside, row["source_port"] if unchanged else row["postnat_source_port"])
    return None if source == UNKNOWN_ADDRESS or is_private(source) else format_endpoint(source, row["source_port"])
