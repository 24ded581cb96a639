"""Each source of flows and of translations over the last day, and whether it can answer a port question."""

from typing import Any

from archive.addresses import format_address
from archive.ask.network import read_network_facts
from archive.attribution.port_verdict import TEXTS, Sent, decide
from archive.index.engine import Engine
from archive.time_text import format_iso

NS = 1_000_000_000
LOOK_BACK_SECONDS = 86_400
LOOK_INTERVAL_SECONDS = 300.0
"""How long an answer is used again: the question reads a day of flows."""
MAX_EXPORTERS = 200
"""Sources shown, those with the most rows first; an office has tens."""
SYSLOG = "syslog"
SFLOW = "sflow5"
_PACKET_LOGS = ("netfilter", "conntrack", "ulogd")
"""Formats of lines that tell of connections; who sends one and no translation is told why that is not enough."""
_PACKET_FILTER = "filterlog"
"""Program of pfSense and OPNsense whose lines tell of connections."""
_SINCE = "received >= fromUnixTimestamp64Nano({since:Int64}, 'UTC')"
_NONE = "(toIPv6('::'), toIPv6('::ffff:0.0.0.0'))"
_FLOWS = (
    "SELECT realm, exporter_address AS address, exporter_port AS port, version, observation_domain, count() AS flows, "
    f"countIf(coalesce(postnat_source_address, toIPv6('::')) NOT IN {_NONE} "
    f"OR coalesce(postnat_destination_address, toIPv6('::')) NOT IN {_NONE}) AS with_nat_fields, "
    f"countIf((coalesce(postnat_source_address, toIPv6('::')) NOT IN {_NONE} "
    "AND postnat_source_address != source_address) "
    f"OR (coalesce(postnat_destination_address, toIPv6('::')) NOT IN {_NONE} "
    "AND postnat_destination_address != destination_address)) AS translated, "
    "toUnixTimestamp64Nano(max(received)) AS last_unix_ns FROM {db}.flows WHERE " + _SINCE + " "
    "GROUP BY realm, address, port, version, observation_domain "
    "ORDER BY flows DESC, realm, address, port, version, observation_domain LIMIT {limit:UInt32}"
)
_TRANSLATIONS = (
    "SELECT realm, sender_address AS address, countIf(kind != 'flow' AND event = 'open') AS opens, "
    "countIf(kind != 'flow' AND event = 'close') AS closes, countIf(event = 'update') AS updates, "
    "countIf(kind = 'flow' AND event = 'close') AS used, "
    "countIf(outside_port_low = 0 AND outside_port_high = 65535) AS without_port, "
    "toUnixTimestamp64Nano(max(received)) AS last_unix_ns FROM {db}.nat WHERE " + _SINCE + " AND event != 'carry' "
    "GROUP BY realm, address ORDER BY opens + closes + updates + used DESC, realm, address LIMIT {limit:UInt32}"
)
_LINES = (
    "SELECT realm, sender_address AS address, count() AS lines, toUnixTimestamp64Nano(max(received)) AS last_unix_ns "
    "FROM {db}.logs WHERE " + _SINCE + " AND (format IN {formats:Array(String)} OR app_name = {packet_filter:String}) "
    "GROUP BY realm, address ORDER BY lines DESC, realm, address LIMIT {limit:UInt32}"
)


class ExporterReader:
    """Asked by several threads; at worst two of them look at once."""

    def __init__(self, engine: Engine, zone: str) -> None:
        self._engine = engine
        self._zone = zone
        self._known: tuple[int, list[dict[str, Any]]] | None = None

    def read(self, now_ns: int) -> list[dict[str, Any]]:
        """Each source of the last day as `exporters` of docs/CONTRACT.md; at most LOOK_INTERVAL_SECONDS old. While none
        is known it looks each time."""
        known = self._known
        if known is None or not known[1] or not 0 <= now_ns - known[0] < LOOK_INTERVAL_SECONDS * NS:
            known = self._known = (now_ns, self._look(now_ns))
        return known[1]

    def _look(self, now_ns: int) -> list[dict[str, Any]]:
        asked = {"since": now_ns - LOOK_BACK_SECONDS * NS, "limit": MAX_EXPORTERS}
        flows = self._engine.query(_FLOWS, asked)
        translations = {(r["realm"], r["address"]): r for r in self._engine.query(_TRANSLATIONS, asked)}
        lines = self._engine.query(_LINES, {**asked, "formats": list(_PACKET_LOGS), "packet_filter": _PACKET_FILTER})
        facts = read_network_facts(self._engine).at(now_ns)
        flow_sources = {(row["realm"], row["address"]) for row in flows}
        found = [(row, _sent(row, translations.get((row["realm"], row["address"]), {}))) for row in flows]
        others = {(row["realm"], row["address"]): row for row in [*lines, *translations.values()]}
        for key, row in others.items():
            if key not in flow_sources:
                found.append(({**row, "version": SYSLOG}, _sent({}, translations.get(key, {}))))
        shaped = []
        for row, sent in found[:MAX_EXPORTERS]:
            verdict, code = decide(sent)
            english, thai = TEXTS[code]
            exporter = facts.exporter_of(row["address"])
            shaped.append(
                {
                    "realm": row["realm"],
                    "address": format_address(row["address"]),
                    "port": row.get("port"),
                    "version": row["version"],
                    "observation_domain": row.get("observation_domain"),
                    "name": exporter.name if exporter else None,
                    "flows": sent.flows,
                    "last": format_iso(int(row["last_unix_ns"]), self._zone),
                    "answers_ports": str(verdict),
                    "code": code,
                    "text": {"en": english, "th": thai},
                }
            )
        return shaped


def _sent(flows: dict[str, Any], translations: dict[str, Any]) -> Sent:
    """What a source sent. Translations are known by address alone: they count for those of its streams that carry
    translated addresses, and for all where it sends no flows."""
    sampled = flows.get("version") == SFLOW
    names = ("opens", "closes", "updates", "used", "without_port")
    counts = {name: int(translations.get(name) or 0) for name in names}
    if flows and not flows["with_nat_fields"]:
        counts = dict.fromkeys(names, 0)
    return Sent(
        int(flows.get("flows") or 0),
        int(flows.get("with_nat_fields") or 0),
        int(flows.get("translated") or 0),
        **counts,
        sampled=sampled,
    )
