"""Threat 13: a datagram left out before it was sealed."""

import random

import pytest

from collector.wire.flows import FlowDecoder
from collector.wire.sequence_gaps import SEQUENCE_GAP
from collector.wire.syslog import SyslogDecoder
from tests.collector.wire.flow_builder import message, one_set, template_set
from tests.collector.wire.wire_chunks import make_chunk

DATAGRAMS, A_CHUNK = 10_000, 1_000
SAMPLE_DROPS, FULL_DROPS = 3, 60


def _netflow9(number: int) -> bytes:
    template = (template_set(9, 300, [(8, 4), (12, 4)]),) if number % 100 == 0 else ()
    return message(9, *template, one_set(300, bytes(8)), sequence=number, domain=7)


def _line(number: int) -> bytes:
    return b'<13>1 2026-11-20T08:00:00+07:00 gate app - - [meta sequenceId="%d"] line' % (number + 1)


SENDERS = {"netflow": (FlowDecoder, _netflow9), "syslog": (SyslogDecoder, _line)}


@pytest.mark.parametrize("kind", SENDERS)
def test_one_datagram_of_ten_thousand_left_out(kind: str, full_counts: bool) -> None:
    """Before sealing nothing but the sender's own numbers tells; they do, in every chunk it may have been in."""
    make_decoder, make = SENDERS[kind]
    sent = [make(number) for number in range(DATAGRAMS)]
    chooser = random.Random(13)
    for _ in range(FULL_DROPS if full_counts else SAMPLE_DROPS):
        dropped = chooser.randrange(1, DATAGRAMS - 1)
        kept = sent[:dropped] + sent[dropped + 1 :]
        decoder = make_decoder()
        state, losses = decoder.initial_state(), []
        for leaf, start in enumerate(range(0, len(kept), A_CHUNK)):
            decoded = decoder.decode(state, leaf, make_chunk(kept[start : start + A_CHUNK], kind))
            state = decoded.state
            table = decoded.tables.get("losses")
            losses += [] if table is None else table.to_pylist()
        told = [(row["how"], row["count"], A_CHUNK * row["leaf_index"] + row["row"]) for row in losses]
        assert told == [(SEQUENCE_GAP, 1, dropped)], dropped
    print(f"row 13: {FULL_DROPS if full_counts else SAMPLE_DROPS} times one of {DATAGRAMS} ({kind})")
