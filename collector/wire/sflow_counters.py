"""Counter samples of sFlow v5: what an interface or an agent counts of itself, as rows of `options`.

The generic interface counters go by their names; every other block as `e<enterprise>.<format>` in hex.
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from collector.wire.field_values import Values
from collector.wire.sflow_json import address_member, number_member, objects, record_members
from collector.wire.sflow_samples import Parts, Samples
from collector.wire.sflow_words import WordBuffer

GENERIC_INTERFACE = 1
# Names and 32-bit words of struct if_counters (sFlow v5 section 5.4).
_IF_COUNTERS = (
    ("ifIndex", 1), ("ifType", 1), ("ifSpeed", 2), ("ifDirection", 1), ("ifStatus", 1), ("ifInOctets", 2),
    ("ifInUcastPkts", 1), ("ifInMulticastPkts", 1), ("ifInBroadcastPkts", 1), ("ifInDiscards", 1), ("ifInErrors", 1),
    ("ifInUnknownProtos", 1), ("ifOutOctets", 2), ("ifOutUcastPkts", 1), ("ifOutMulticastPkts", 1),
    ("ifOutBroadcastPkts", 1), ("ifOutDiscards", 1), ("ifOutErrors", 1), ("ifPromiscuousMode", 1),
)  # fmt: skip
_IF_COUNTERS_WORDS = sum(words for _, words in _IF_COUNTERS)


def counter_elements(
    buffer: WordBuffer, samples: Samples, records: Parts, agents: tuple[np.ndarray, np.ndarray], counters: Counter[str]
) -> pa.Array:
    """`elements` of each sample. `agents`: uint8 [samples, 16] and whether it differs from the sender."""
    count = len(samples.sequence)
    generic = np.flatnonzero(records.tag == GENERIC_INTERFACE)
    whole = records.end[generic] - records.start[generic] >= _IF_COUNTERS_WORDS
    counters["sflow_malformed_records"] += int(np.count_nonzero(~whole))
    generic = generic[whole]
    sample, index = np.unique(records.owner[generic], return_index=True)
    generic = generic[index]
    others = np.ones(len(records.owner), bool)
    others[generic] = False
    members = [
        number_member("sourceIdType", Values(samples.source_type, samples.source_type > 0)),
        address_member("agentAddress", *agents),
    ]
    if len(generic):
        members += _interface_members(buffer, records.start[generic], sample, count)
    members.append(record_members(buffer, records.take(np.flatnonzero(others)), count))
    return objects("sourceIdIndex", samples.source_index, members)


def _interface_members(buffer: WordBuffer, start: np.ndarray, sample: np.ndarray, count: int) -> list[pa.Array]:
    valid = np.zeros(count, bool)
    valid[sample] = True
    members = []
    place = start
    for name, words in _IF_COUNTERS:
        values = np.zeros(count, "uint64")
        values[sample] = buffer.word(place) if words == 1 else buffer.long(place)
        members.append(number_member(name, Values(values, valid)))
        place = place + words
    return members
