"""What the sequence numbers of flow exports count, and the losses they show.

NetFlow v5 and v7 number flows, v9 datagrams (RFC 3954 section 5.1), IPFIX data records, options included (RFC 7011
section 3.1); softflowd leaves options out and counts a message's own records too. How many an IPFIX message holds is
known only after its sets were cut by their templates.
"""

from collections.abc import Hashable, Sequence
from struct import unpack_from

import numpy as np
import pyarrow as pa

from collector.wire.flow_messages import IPFIX, LAYOUTS, NETFLOW5, NETFLOW7, NETFLOW9
from collector.wire.flow_templates import Origin
from collector.wire.sequence_gaps import Arrival, GapFinder, Stream, Units

_UNITS = {
    NETFLOW5: ("netflow5", "flows"),
    NETFLOW7: ("netflow7", "flows"),
    NETFLOW9: ("netflow9", "datagrams"),
    IPFIX: ("ipfix", "data records"),
}


class SequencedMessages:
    """Messages of one call in order of arrival, with the units each holds; None where they cannot be counted."""

    def __init__(self) -> None:
        self._messages: list[tuple[Origin, str]] = []
        self._units: list[Units | None] = []

    @property
    def last(self) -> int:
        """Number of the message added last."""
        return len(self._messages) - 1

    def add(self, origin: Origin, listener: str, payload: bytes, *, countable: bool) -> None:
        """`countable`: its sets are whole. A v5 or v7 header says how many were sent even if some were cut off."""
        units: Units | None = (1, 1)
        if origin.version in LAYOUTS:
            flows = unpack_from(">H", payload, 2)[0]
            units = (flows, flows)
        elif origin.version == IPFIX:
            units = (0, 0) if countable else None
        self._messages.append((origin, listener))
        self._units.append(units)

    def cannot_count(self, message: int) -> None:
        """It holds a set without template."""
        if self._messages[message][0].version == IPFIX:
            self._units[message] = None

    def add_records(self, messages: Sequence[int | None], sizes: np.ndarray, *, are_options: bool) -> None:
        """Data records found in a set of each of these messages."""
        for message, size in zip(messages, sizes.tolist(), strict=True):
            if message is None or self._messages[message][0].version != IPFIX:
                continue
            units = self._units[message]
            if units is not None:
                self._units[message] = (units[0] + size, units[1] + (0 if are_options else size))

    def losses(self, streams: dict[Hashable, Stream], leaf_index: int) -> pa.Table | None:
        """Rows of `losses`; moves `streams`, by exporter address, port, version and domain, on."""
        finder = GapFinder(streams)
        for (origin, listener), units in zip(self._messages, self._units, strict=True):
            key = (origin.exporter_address, origin.exporter_port, origin.version, origin.observation_domain)
            arrival = Arrival(origin.row, origin.realm, origin.received_unix_ns, origin.exporter_address, listener)
            version, unit = _UNITS[origin.version]
            details = {"version": version, "unit": unit, "observation_domain": origin.observation_domain}
            finder.follow(key, origin.sequence, units, arrival, details, origin.uptime_ms)
        return finder.table(leaf_index)
