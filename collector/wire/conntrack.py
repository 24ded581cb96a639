"""Connection tracking events of Linux: lines of `conntrack -E` and of ulogd2 (NFCT).

The first tuple is the original direction (inside host), the second the reply direction: its destination is
the outside address and port, its source is the destination as it was reached.
"""

import re

from collector.wire.addresses import AddressCache, protocol_number
from collector.wire.connection_fields import Connection, Translation, port_number
from collector.wire.device_time import NS_PER_SECOND

# Address words are bounded, so that a line of repeated "src=" costs one pass.
_TUPLE = (
    r"src=(\S{1,64}) dst=(\S{1,64})(?: sport=(\d{1,5}) dport=(\d{1,5})| type=\d{1,3} code=\d{1,3}(?: id=\d{1,5})?)?"
)
_EVENT = re.compile(
    r"\s*(?:\[(\d{1,10})\.(\d{1,9})\s*\]\s*)?(?:\[(NEW|UPDATE|DESTROY)\]\s+)?(?:ipv[46]\s+\d+\s+)?"
    r"([\w-]+)\s+(\d{1,3})\s+(?:\d+\s+)?(?:[A-Z][A-Z_0-9]*\s+)?" + _TUPLE + r"(.*?)" + _TUPLE,
    re.DOTALL,
)
_IDENTIFIER = re.compile(r" id=(\d{1,20})")
_ULOGD_TUPLE = r"SRC=(\S{1,64}) DST=(\S{1,64}) PROTO=(\w{1,16})(?: SPT=(\d{1,5}) DPT=(\d{1,5}))?"
_ULOGD = re.compile(
    r"\s*\[(NEW|UPDATE|DESTROY)\]\s+ORIG: " + _ULOGD_TUPLE + r"(.*?), REPLY: " + _ULOGD_TUPLE, re.DOTALL
)
_EVENTS = {"NEW": "open", "UPDATE": "update", "DESTROY": "close", None: "update"}


class ConntrackReader:
    """Reads connection tracking messages of one decode call."""

    def __init__(self, addresses: AddressCache) -> None:
        self._parse = addresses.parse

    def read(self, message: str) -> tuple[Connection, Translation | None] | None:
        """The connection and, if its source is translated, the translation; None for any other message.

        A line of `conntrack -L` (no event word) is an `update`: it proves the mapping alive.
        """
        if " dst=" in message:
            return self._read_event(message)
        if ", REPLY: " in message:
            return self._read_ulogd(message)
        return None

    def _read_event(self, message: str) -> tuple[Connection, Translation | None] | None:
        match = _EVENT.match(message)
        if match is None:
            return None
        seconds, fraction, word, _, number, *tuples = match.groups()
        original, reply = tuples[:4], tuples[5:]
        time_unix_ns = None
        if seconds is not None:
            time_unix_ns = int(seconds) * NS_PER_SECOND + int(fraction.ljust(9, "0"))
            if time_unix_ns >= 2**63:
                time_unix_ns = None
        identifier = _IDENTIFIER.search(message, match.end())
        return self._build(
            "conntrack",
            _EVENTS[word],
            time_unix_ns,
            int(number) if int(number) <= 255 else None,
            original,
            (reply[0], reply[1], reply[2], reply[3]),
            identifier[1] if identifier is not None else None,
        )

    def _read_ulogd(self, message: str) -> tuple[Connection, Translation | None] | None:
        match = _ULOGD.match(message)
        if match is None:
            return None
        word, source, destination, protocol, sport, dport, _, *reply = match.groups()
        reply_source, reply_destination, _, reply_sport, reply_dport = reply
        return self._build(
            "ulogd",
            _EVENTS[word],
            None,
            protocol_number(protocol),
            [source, destination, sport, dport],
            (reply_source, reply_destination, reply_sport, reply_dport),
            None,
        )

    def _build(
        self,
        line_format: str,
        event: str,
        time_unix_ns: int | None,
        protocol: int | None,
        original: list[str | None],
        reply: tuple[str, str, str | None, str | None],
        identifier: str | None,
    ) -> tuple[Connection, Translation | None] | None:
        source = self._parse(original[0] or "")
        destination = self._parse(original[1] or "")
        seen_as = self._parse(reply[0])
        outside = self._parse(reply[1])
        if source is None or destination is None or seen_as is None or outside is None:
            return None
        source_port, destination_port = port_number(original[2]), port_number(original[3])
        outside_port = port_number(reply[3])
        connection = Connection(line_format, source, source_port, destination, destination_port, protocol)
        if protocol is None or (outside == source and outside_port == source_port):
            return connection, None
        return connection, Translation(
            event,
            time_unix_ns,
            outside,
            outside_port,
            protocol,
            seen_as,
            port_number(reply[2]),
            source,
            source_port,
            identifier or _tuple_key(protocol, original, reply),
        )


def _tuple_key(protocol: int, original: list[str | None], reply: tuple[str, str, str | None, str | None]) -> str:
    """The same text for every event of one connection, where the device gives no connection id."""
    parts = [str(protocol), *(part or "" for part in original), *(part or "" for part in reply)]
    return ",".join(parts)
