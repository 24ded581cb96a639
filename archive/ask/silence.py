"""Sources that are silent now, from the sealed records of their falling silent and coming back.

A collector that starts anew has forgotten who was silent and says of nobody that it came back. Who fell silent before
that start is silent until the index holds a record of it received later.
"""

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from archive.decoder import listener_kind
from archive.index.engine import LOG_NUMBER, Engine

NS = 1_000_000_000
FORGET_DAYS = 30
"""A source silent for longer is taken to be removed; who removes a device is not told so for ever."""
LOOK_INTERVAL_SECONDS = 60.0
"""How often the index is searched for records of sources silent since before the collector's start."""
LOOK_BACK_SECONDS = 86_400
"""How far back the first such search goes; each further one begins where the one before ended."""
_SENDERS = {
    "syslog": (("logs", "sender_address"),),
    "netflow": (("flows", "exporter_address"), ("options", "exporter_address")),
    "sflow": (("flows", "exporter_address"), ("options", "exporter_address")),
}
"""Where the sender of a record of each kind of listener is found."""
_LAST_WORDS = (
    "SELECT listener, JSONExtractString(details, 'source') AS source, "
    f"argMax(how, ({LOG_NUMBER}, leaf_index, row)) AS last, "
    f"argMax(toUnixTimestamp64Nano(start), ({LOG_NUMBER}, leaf_index, row)) AS since_unix_ns, "
    f"max(({LOG_NUMBER}, leaf_index)) AS told, "
    "coalesce(toIPv6OrNull(source), toIPv6('::')) AS address FROM {db}.losses "
    "WHERE how IN ('source_silent', 'source_returned') AND received >= fromUnixTimestamp64Nano({since:Int64}, 'UTC') "
    "GROUP BY listener, source HAVING last = 'source_silent' ORDER BY since_unix_ns, listener, source"
)

Place = tuple[int, int]


@dataclass(frozen=True)
class Silent:
    """A source (text of its address) that sent regularly to `listener` and last at `since_unix_ns`. `told` is the
    place (number of the log, leaf) of the record that says so."""

    listener: str
    source: str
    since_unix_ns: int
    told: Place


class SilentSources:
    """Asked by one thread. Remembers which silences ended without a record of their end."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ended: set[Silent] = set()
        self._start: Place = (-1, -1)
        self._looked_until_ns = 0
        self._next_look_ns = 0

    def read(self, now_ns: int, listeners: Collection[str] | None) -> list[Silent]:
        """Who is silent, longest first. `listeners`: those there are; a silence at another one is over. None: not
        known."""
        rows = self._engine.query(_LAST_WORDS, {"since": now_ns - FORGET_DAYS * 86_400 * NS})
        found: dict[Silent, bytes] = {}
        for row in rows:
            if listeners is None or row["listener"] in listeners:
                silent = Silent(row["listener"], row["source"], int(row["since_unix_ns"]), _place(row["told"]))
                found[silent] = row["address"]
        self._ended &= found.keys()
        start = self._last_start()
        asked = {one: found[one] for one in found.keys() - self._ended if one.told < start}
        if start != self._start:
            self._start = start
            self._looked_until_ns = now_ns - LOOK_BACK_SECONDS * NS
            self._next_look_ns = 0
        if asked and now_ns >= self._next_look_ns:
            self._look(asked)
            self._next_look_ns = now_ns + int(LOOK_INTERVAL_SECONDS * NS)
        return [one for one in found if one not in self._ended]

    def _last_start(self) -> Place:
        rows = self._engine.query(
            f"SELECT max(({LOG_NUMBER}, leaf_index)) AS place FROM {{db}}.events "
            "WHERE code = 'writer_started' AND process = 'collector'"
        )
        return _place(rows[0]["place"])

    def _look(self, asked: dict[Silent, bytes]) -> None:
        """Note which of these sources the index holds a later record of."""
        indexed = self._engine.query("SELECT max(last_unix_ns) AS until FROM {db}.leaves")
        for kind, places in _SENDERS.items():
            ours = {one: address for one, address in asked.items() if listener_kind(one.listener) == kind}
            for table, sender in places if ours else ():
                rows = self._engine.query(
                    f"SELECT {sender} AS sender, max(({LOG_NUMBER}, leaf_index)) AS place FROM {{db}}.{table} "
                    "WHERE received >= fromUnixTimestamp64Nano({since:Int64}, 'UTC') "
                    f"AND {sender} IN (SELECT arrayJoin({{sources:Array(IPv6)}})) GROUP BY sender",
                    {
                        "since": self._looked_until_ns,
                        "sources": sorted({str(ipaddress.IPv6Address(address)) for address in ours.values()}),
                    },
                )
                heard = {row["sender"]: _place(row["place"]) for row in rows}
                self._ended |= {one for one, address in ours.items() if heard.get(address, (-1, -1)) > one.told}
        # Kinds that nothing decodes leave no trace of a return; then only the start after it is known.
        self._ended |= {one for one in asked if listener_kind(one.listener) not in _SENDERS}
        # Leaves of several streams are indexed out of the order of arrival; so much further back is safe.
        until = int(indexed[0]["until"] or 0) - int(LOOK_INTERVAL_SECONDS * NS)
        self._looked_until_ns = max(self._looked_until_ns, until)


def _place(value: Mapping[str, int]) -> Place:
    """A tuple of the engine, which Arrow has as a structure."""
    number, leaf = value.values()
    return int(number), int(leaf)
