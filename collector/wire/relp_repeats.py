"""Which RELP messages may have been sent twice. Derived from sealed records at each decode, never in the journal. Pure.

A RELP client sends what was not answered again, in order and before anything else, on its next connection. What had
reached the journal of it before is there twice: the last messages of a connection from an address are the first ones of
a later connection from another port of that address. Of the latter the copies are marked, streaming: as long as they
continue, in order, some place in what was kept of an earlier connection, until that ends or the order breaks.

`repeated` says "may be the same message", never that it is: a sender that begins a connection with a line equal to an
earlier one (a mark, a start message) is marked too. A copy goes unmarked when its connection came from the same port
as the one before, when the first one lies further back than what is kept here, and when the first one was read only
after the new connection had begun.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from collector.wire.chunk_rows import column_array

RELP = "relp"
WINDOW_MESSAGES = 1_024
"""Kept of a connection. librelp sends at most 128 before it waits for an answer; one that is set higher is held up by
our own limit of answers owed, some 4,000, of which a tail is then still found."""
MAX_CONNECTIONS = 8
"""Kept of a sender, the latest. rsyslog opens one for each worker of an action, and a restart may hit a client that is
still sending again."""
MAX_SENDERS = 128
"""Senders kept, 8 MiB together; the one heard longest ago goes first. As much again for every connection of theirs
that does nothing but repeat."""
HASH_BYTES = 8

Hashes = NDArray[np.uint64]


class Following(NamedTuple):
    """Places in `hashes`, those of earlier connections one after another, which a connection may continue at next.
    The place that continues at `places[n]` has its end before `ends[n]`."""

    hashes: Hashes
    places: NDArray[np.int64]
    ends: NDArray[np.int64]


class RelpConnection(NamedTuple):
    """The last messages of a connection, and what it still may repeat."""

    hashes: Hashes
    following: Following | None


Sender = tuple[str, bytes]
"""Listener and address."""
Connections = dict[int, RelpConnection]
"""By source port, the one heard last at the end."""


def mark_repeats(
    senders: dict[Sender, Connections], rows: pa.Table, payloads: list[bytes]
) -> tuple[dict[Sender, Connections], NDArray[np.bool_]]:
    """The senders moved on by these rows, and for each row whether it may repeat an earlier one.

    Nothing of `senders` is changed. Rows over other transports cost one comparison in bulk; those over RELP a hash of
    the last WINDOW_MESSAGES of every run of one connection, and a comparison each while they repeat.
    """
    repeated = np.zeros(rows.num_rows, np.bool_)
    transports = column_array(rows, "transport", pa.string()).dictionary_encode()
    names = transports.dictionary.to_pylist()
    if RELP not in names:
        return senders, repeated
    positions = np.flatnonzero(transports.indices.to_numpy(zero_copy_only=False) == names.index(RELP))
    senders = dict(senders)
    touched: set[Sender] = set()
    for sender, port, run in _runs(rows, positions):
        connections = senders.pop(sender, {})
        if sender not in touched:
            connections = dict(connections)
            touched.add(sender)
        senders[sender] = connections
        if len(senders) > MAX_SENDERS:
            del senders[next(iter(senders))]
        repeated[run] = _follow(connections, port, [payloads[position] for position in run.tolist()])
    return senders, repeated


def _runs(rows: pa.Table, positions: NDArray[np.int64]) -> list[tuple[Sender, int, NDArray[np.int64]]]:
    """Positions of neighbouring messages of one connection, in order."""
    taken = rows.select(["listener", "source_address", "source_port"]).take(pa.array(positions))
    listeners = column_array(taken, "listener", pa.string())
    addresses = column_array(taken, "source_address", pa.binary(16))
    ports = column_array(taken, "source_port", pa.uint16()).to_numpy(zero_copy_only=False)
    columns = [
        listeners.dictionary_encode().indices.to_numpy(zero_copy_only=False),
        addresses.cast(pa.binary()).dictionary_encode().indices.to_numpy(zero_copy_only=False),
        ports,
    ]
    changes = np.zeros(len(positions) - 1, np.bool_)
    for column in columns:
        changes |= column[1:] != column[:-1]
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(positions)]])
    return [
        ((listeners[start].as_py(), addresses[start].as_py()), int(ports[start]), positions[start:end])
        for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    ]


def _follow(connections: Connections, port: int, payloads: list[bytes]) -> NDArray[np.bool_]:
    """Move the connection of `port` on by a run of its messages; which of them may be repeats."""
    repeated = np.zeros(len(payloads), np.bool_)
    connection = connections.pop(port, None) or _begin(connections)
    following = connection.following
    position = 0
    while following is not None and position < len(payloads):
        following = _continue(following, _hash(payloads[position]))
        repeated[position] = following is not None
        position += 1
    last = np.array([_hash(payload) for payload in payloads[-WINDOW_MESSAGES:]], np.uint64)
    hashes = np.concatenate([connection.hashes, last])[-WINDOW_MESSAGES:]
    connections[port] = RelpConnection(hashes, following)
    if len(connections) > MAX_CONNECTIONS:
        del connections[next(iter(connections))]
    return repeated


def _begin(earlier: Connections) -> RelpConnection:
    """A connection of which nothing was seen: it may repeat from any place of any earlier one."""
    nothing = np.empty(0, np.uint64)
    if not earlier:
        return RelpConnection(nothing, None)
    hashes = np.concatenate([one.hashes for one in earlier.values()])
    sizes = [len(one.hashes) for one in earlier.values()]
    ends = np.repeat(np.cumsum(sizes), sizes)
    return RelpConnection(nothing, Following(hashes, np.arange(len(hashes)), ends))


def _continue(following: Following, message: np.uint64) -> Following | None:
    """The places that are still in question after one more message; None when it is none of a repeat."""
    places = np.minimum(following.places, len(following.hashes) - 1)
    kept = (following.places < following.ends) & (following.hashes[places] == message)
    if not kept.any():
        return None
    return Following(following.hashes, following.places[kept] + 1, following.ends[kept])


def _hash(payload: bytes) -> np.uint64:
    digest = hashlib.blake2b(payload, digest_size=HASH_BYTES, usedforsecurity=False).digest()
    return np.uint64(int.from_bytes(digest, "little"))
