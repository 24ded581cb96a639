"""Structure of sFlow v5 datagrams (sFlow.org, "sFlow Version 5", July 2004, section 5.3): headers, samples, records.

All datagrams of a call are walked side by side: one step of numpy reads the next sample of each. There are
never more steps than the longest datagram has words, whatever counts and lengths claim.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from collector.wire.sflow_words import WordBuffer

SFLOW5 = 5
FLOW_SAMPLE, COUNTER_SAMPLE, EXPANDED_FLOW_SAMPLE, EXPANDED_COUNTER_SAMPLE = 1, 2, 3, 4
# Words from the start of a sample to its records; the last of them is the number of records.
_HEADER_WORDS = {FLOW_SAMPLE: 8, COUNTER_SAMPLE: 3, EXPANDED_FLOW_SAMPLE: 11, EXPANDED_COUNTER_SAMPLE: 4}
_INDEX_BITS, _FORMAT_BITS = 24, 30
SAMPLE_HEADER_WORDS = 2
"""Format and length before the body of a sample or record."""


@dataclass(frozen=True, slots=True)
class Datagrams:
    """Headers that could be read. `number` is the datagram's place in the call; `agent` uint8 [datagrams, 16]."""

    number: np.ndarray
    agent: np.ndarray
    sub_agent: np.ndarray
    sequence: np.ndarray
    uptime_ms: np.ndarray
    sample_count: np.ndarray
    samples_start: np.ndarray
    end: np.ndarray


@dataclass(frozen=True, slots=True)
class Parts:
    """Tagged pieces of what holds them: samples of datagrams, records of samples. In the order of the wire.

    `owner` is the index of the holder, `tag` its format with the enterprise above bit 12, `start` and `end` words,
    `size` the length stated in bytes.
    """

    owner: np.ndarray
    tag: np.ndarray
    start: np.ndarray
    end: np.ndarray
    size: np.ndarray

    def take(self, chosen: np.ndarray) -> "Parts":
        return Parts(self.owner[chosen], self.tag[chosen], self.start[chosen], self.end[chosen], self.size[chosen])


@dataclass(frozen=True, slots=True)
class Samples:
    """Heads of samples of one kind, compact and expanded forms alike. Interfaces are (format, value) pairs, 0 in
    counter samples; `datagram` is an index into Datagrams, `start` the first word of the body.
    """

    datagram: np.ndarray
    tag: np.ndarray
    sequence: np.ndarray
    source_type: np.ndarray
    source_index: np.ndarray
    rate: np.ndarray
    pool: np.ndarray
    drops: np.ndarray
    input: tuple[np.ndarray, np.ndarray]
    output: tuple[np.ndarray, np.ndarray]
    record_count: np.ndarray
    records_start: np.ndarray
    end: np.ndarray
    start: np.ndarray


def read_datagrams(buffer: WordBuffer, counters: Counter[str]) -> Datagrams:
    """Headers of all datagrams; what is not sFlow v5 is left out and counted."""
    start, end = buffer.starts, buffer.ends
    agent, after, whole = buffer.address(start + 1, end)
    good = whole & (buffer.word(start) == SFLOW5) & (after + 4 <= end)
    counters["sflow_malformed_datagrams"] += int(np.count_nonzero(~good))
    number = np.flatnonzero(good)
    after = after[number]
    sub_agent, sequence, uptime_ms, sample_count = (buffer.word(after + place) for place in range(4))
    return Datagrams(number, agent[number], sub_agent, sequence, uptime_ms, sample_count, after + 4, end[number])


def walk(
    buffer: WordBuffer, start: np.ndarray, end: np.ndarray, count: np.ndarray, counters: Counter[str], what: str
) -> Parts:
    """The parts (tag, length in bytes, body) between `start` and `end`, at most `count` of each holder.

    A part that runs over the end is given up to there and counted as sflow_cut_<what>; parts announced that have no
    bytes left as sflow_missing_<what>, one for each holder; bytes behind the last as sflow_trailing_bytes. A length
    that is no multiple of four is rounded up, as XDR pads.
    """
    pieces: list[tuple[np.ndarray, ...]] = []
    owner = np.arange(len(start))
    position, left = start, count
    while len(owner):
        wanted = left > 0
        counters["sflow_trailing_bytes"] += int((end - position)[~wanted].sum()) * 4
        room = wanted & (end - position >= 2)
        counters[f"sflow_missing_{what}"] += int(np.count_nonzero(wanted & ~room))
        owner, position, end, left = owner[room], position[room], end[room], left[room] - 1
        if not len(owner):
            break
        tag, size = buffer.word(position), buffer.word(position + 1)
        body, stop = position + 2, position + 2 + (size + 3) // 4
        cut = stop > end
        counters[f"sflow_cut_{what}"] += int(np.count_nonzero(cut))
        stop = np.minimum(stop, end)
        pieces.append((owner, tag, body, stop, size))
        kept = ~cut
        owner, position, end, left = owner[kept], stop[kept], end[kept], left[kept]
    if not pieces:
        none = np.zeros(0, "int64")
        return Parts(none, none, none, none, none)
    owner, tag, body, stop, size = (np.concatenate(column) for column in zip(*pieces, strict=True))
    return Parts(owner, tag, body, stop, size).take(np.argsort(owner, kind="stable"))


def read_samples(buffer: WordBuffer, parts: Parts, compact: int, expanded: int, counters: Counter[str]) -> Samples:
    """Heads of the samples of one kind (FLOW_SAMPLE and EXPANDED_FLOW_SAMPLE, or the counter samples)."""
    wanted = parts.take(np.flatnonzero((parts.tag == compact) | (parts.tag == expanded)))
    is_expanded = wanted.tag == expanded
    head = np.where(is_expanded, _HEADER_WORDS[expanded], _HEADER_WORDS[compact])
    whole = wanted.start + head <= wanted.end
    counters["sflow_malformed_samples"] += int(np.count_nonzero(~whole))
    wanted, is_expanded, head = wanted.take(np.flatnonzero(whole)), is_expanded[whole], head[whole]
    source = buffer.word(wanted.start + 1)
    second = buffer.word(wanted.start + 2)
    after = wanted.start + np.where(is_expanded, 3, 2)
    flows = compact == FLOW_SAMPLE
    rate, pool, drops = (buffer.word(after + place) if flows else np.zeros_like(after) for place in range(3))
    return Samples(
        wanted.owner, wanted.tag, buffer.word(wanted.start),
        np.where(is_expanded, source, source >> _INDEX_BITS),
        np.where(is_expanded, second, source & (1 << _INDEX_BITS) - 1),
        rate, pool, drops,
        _interface(buffer, after + 3, is_expanded, flows),
        _interface(buffer, after + np.where(is_expanded, 5, 4), is_expanded, flows),
        buffer.word(wanted.start + head - 1), wanted.start + head, wanted.end, wanted.start,
    )  # fmt: skip


def _interface(
    buffer: WordBuffer, position: np.ndarray, is_expanded: np.ndarray, flows: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Format (0 ifIndex, 1 discarded with a reason, 2 number of interfaces) and value; the compact form packs both."""
    if not flows:
        return np.zeros_like(position), np.zeros_like(position)
    first = buffer.word(position)
    packed_format, packed_value = first >> _FORMAT_BITS, first & (1 << _FORMAT_BITS) - 1
    return np.where(is_expanded, first, packed_format), np.where(is_expanded, buffer.word(position + 1), packed_value)
