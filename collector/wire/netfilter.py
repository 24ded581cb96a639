"""Linux packet log lines (iptables LOG, nftables log): `prefix IN=.. OUT=.. SRC=.. DST=.. PROTO=.. SPT=..
DPT=..`.
"""

import re

from collector.wire.addresses import AddressCache, protocol_number
from collector.wire.connection_fields import Connection, port_number

# ICMP errors quote the packet they answer in brackets behind these fields; the first match is the packet itself.
# Every repetition is bounded: a hostile line of 64 KiB must not cost more than one pass.
_PACKET = re.compile(
    r"(?:\[ *\d{1,12}\.\d{1,9}\] ?)?(.{0,160}?)\bIN=\S{0,64} OUT=\S{0,64} [^\[]{0,400}?SRC=(\S{1,64}) DST=(\S{1,64}) "
    r"[^\[]{0,200}?PROTO=(\w{1,16})(?: SPT=(\d{1,5}) DPT=(\d{1,5}))?"
)
_ACTION = re.compile(r"accept|allow|drop|deny|denied|reject|block", re.IGNORECASE)
_MAX_CACHED_PREFIXES = 1_024


class NetfilterReader:
    """Reads packet log messages of one decode call."""

    def __init__(self, addresses: AddressCache) -> None:
        self._addresses = addresses
        self._actions: dict[str, str] = {}

    def read(self, message: str) -> Connection | None:
        """The packet a message reports, or None if it is no packet log line.

        `action` is the word the log prefix holds (accept, allow, drop, deny, reject, block), in lower case:
        the kernel itself does not state the verdict.
        """
        if "SRC=" not in message or "PROTO=" not in message:
            return None
        match = _PACKET.match(message)
        if match is None:
            return None
        prefix, source, destination, protocol, source_port, destination_port = match.groups()
        action = self._actions.get(prefix)
        if action is None:
            action = self._action_of(prefix)
        return Connection(
            "netfilter",
            self._addresses.parse(source),
            port_number(source_port),
            self._addresses.parse(destination),
            port_number(destination_port),
            protocol_number(protocol),
            action,
        )

    def _action_of(self, prefix: str) -> str:
        match = _ACTION.search(prefix)
        action = "" if match is None else match[0].lower()
        if action == "denied":
            action = "deny"
        if len(self._actions) >= _MAX_CACHED_PREFIXES:
            self._actions.clear()
        self._actions[prefix] = action
        return action
