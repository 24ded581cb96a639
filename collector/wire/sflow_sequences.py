"""What the sequence numbers of sFlow show to be missing: datagrams of an agent, and samples of each data source.

An agent numbers the datagrams of each sub-agent, and flow and counter samples of each data source apart (sFlow v5
section 5.3). A lost datagram shows in both; a gap of samples alone means that the agent gave them up.
"""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pyarrow as pa

from collector.wire.addresses import format_address
from collector.wire.sequence_carry import read_address, read_number
from collector.wire.sequence_gaps import Arrival, GapFinder, Stream
from collector.wire.sflow_samples import Datagrams, Samples

DATAGRAMS = "datagrams"
SAMPLES = ("flow samples", "counter samples")
_ONE = (1, 1)
_MODULUS = 2**32


class SFlowSequences:
    """Follows the numbers of one call. `arrivals` are those of the datagrams, by their place in Datagrams."""

    def __init__(self, streams: dict[Hashable, Stream], datagrams: Datagrams, arrivals: list[Arrival]) -> None:
        self._streams = streams
        self._finder = GapFinder(streams)
        self._datagrams = datagrams
        self._arrivals = arrivals
        owner = [
            arrival.sender_address + agent.tobytes() for arrival, agent in zip(arrivals, datagrams.agent, strict=True)
        ]
        self._agents = [(key, sub_agent) for key, sub_agent in zip(owner, datagrams.sub_agent.tolist(), strict=True)]
        numbers: dict[tuple[bytes, int], int] = {}
        self._agent_number = np.array([numbers.setdefault(key, len(numbers)) for key in self._agents], "int64")
        self._uptimes = datagrams.uptime_ms.tolist()

    def follow_datagrams(self) -> None:
        datagrams = np.arange(len(self._agents))
        for members in _groups([self._agent_number]):
            agent, sub_agent = self._agents[members[0]]
            details = {"version": "sflow5", "unit": DATAGRAMS, "sub_agent": sub_agent}
            self._follow((agent, sub_agent), datagrams[members], self._datagrams.sequence[members], details)

    def follow_samples(self, samples: Samples, unit: str) -> None:
        """`unit` is what the samples are: "flow samples" or "counter samples"."""
        if not len(samples.sequence):
            return
        for members in _groups([self._agent_number[samples.datagram], samples.source_type, samples.source_index]):
            first = members[0]
            agent, sub_agent = self._agents[samples.datagram[first]]
            source = int(samples.source_type[first]), int(samples.source_index[first])
            details = {
                "version": "sflow5", "unit": unit, "sub_agent": sub_agent,
                "source_id_type": source[0], "source_id_index": source[1],
            }  # fmt: skip
            key = (agent, sub_agent, unit, *source)
            self._follow(key, samples.datagram[members], samples.sequence[members], details)

    def losses(self, leaf_index: int) -> pa.Table | None:
        """Rows of `losses`."""
        return self._finder.table(leaf_index)

    def _follow(self, key: Hashable, datagrams: np.ndarray, sequences: np.ndarray, details: dict) -> None:
        """Numbers of one stream in order of arrival. A run without any gap is followed by its first and last."""
        self._follow_one(key, datagrams[0], sequences[0], details)
        if len(sequences) == 1:
            return
        in_order = bool((np.diff(sequences) % _MODULUS == 1).all())
        if in_order and self._streams[key].sequence == sequences[0]:
            last = int(datagrams[-1])
            received = self._arrivals[last].received_unix_ns
            self._streams[key] = Stream(int(sequences[-1]), _ONE, received, self._uptimes[last])
            return
        for datagram, sequence in zip(datagrams[1:].tolist(), sequences[1:].tolist(), strict=True):
            self._follow_one(key, datagram, sequence, details)

    def _follow_one(self, key: Hashable, datagram: int, sequence: int, details: dict) -> None:
        arrival = self._arrivals[datagram]
        self._finder.follow(key, int(sequence), _ONE, arrival, details, self._uptimes[datagram])


def values_from_key(key: Any) -> dict[str, Any]:
    """JSON values of the key of a stream."""
    (owner, sub_agent), source = key[:2], key[2:]
    values = {
        "exporter_address": format_address(owner[:16]),
        "agent_address": format_address(owner[16:]),
        "sub_agent": sub_agent,
        "unit": DATAGRAMS,
    }
    if source:
        values |= {"unit": source[0], "source_id_type": source[1], "source_id_index": source[2]}
    return values


def key_from_values(values: dict[str, Any]) -> Hashable:
    """The key these values were made of. Raises KeyError, ValueError or TypeError."""
    owner = read_address(values["exporter_address"]) + read_address(values["agent_address"])
    key = (owner, read_number(values["sub_agent"], 32))
    if values["unit"] == DATAGRAMS:
        return key
    if values["unit"] not in SAMPLES:
        raise ValueError("samples of an unknown unit")
    source = read_number(values["source_id_type"], 32), read_number(values["source_id_index"], 32)
    return (*key, values["unit"], *source)


def _groups(columns: list[np.ndarray]) -> list[np.ndarray]:
    """Indices of rows that are equal in all columns, in order; groups in order of their first row."""
    order = np.lexsort(columns[::-1])
    changes = np.zeros(max(len(order) - 1, 0), bool)
    for column in columns:
        changes |= np.diff(column[order]) != 0
    groups = np.split(order, np.flatnonzero(changes) + 1) if len(order) else []
    return sorted(groups, key=lambda members: int(members[0]))
