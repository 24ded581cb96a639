"""Silences of a log, found alike whether its leaves are read at once or in ranges."""

import random

from archive.verify.silence import SILENT_NS, Silence

MINUTE_NS = 60 * 10**9
Event = tuple[str, int]


def read(events: list[Event]) -> Silence:
    silence = Silence()
    for kind, unix_ns in events:
        if kind == "outage":
            silence.set_to(unix_ns)
        else:
            silence.see(unix_ns, is_received=kind == "data")
    return silence


def test_a_silence_has_its_two_ends() -> None:
    begin = 10**18
    found = read([("heartbeat", begin), ("heartbeat", begin + SILENT_NS), ("data", begin + 2 * SILENT_NS + 1)])
    assert found.gaps() == [(begin + SILENT_NS, begin + 2 * SILENT_NS + 1)]


def test_what_waited_is_neither_a_silence_nor_its_end() -> None:
    begin = 10**18
    late = [("data", begin - n * MINUTE_NS) for n in range(100, 0, -1)]
    assert read([("heartbeat", begin), *late, ("heartbeat", begin + MINUTE_NS)]).gaps() == []


def test_an_outage_that_is_stated_is_none() -> None:
    begin = 10**18
    assert read([("heartbeat", begin), ("outage", begin + 9 * SILENT_NS), ("data", begin + 9 * SILENT_NS)]).gaps() == []


def test_files_from_before_a_step_of_the_clock_are_no_silence() -> None:
    begin = 10**18
    silence = read([("heartbeat", begin)])
    silence.set_to(begin - 60 * MINUTE_NS, back_from_unix_ns=begin)
    silence.see(begin - MINUTE_NS, is_received=True)
    silence.see(begin - 59 * MINUTE_NS, is_received=True)
    assert silence.gaps() == []
    silence.see(begin - 30 * MINUTE_NS)
    assert silence.gaps() == [(begin - 59 * MINUTE_NS, begin - 30 * MINUTE_NS)]


def test_ranges_say_what_the_whole_says() -> None:
    chooser = random.Random(9)
    for _ in range(300):
        now, events = 10**18, []
        for _ in range(chooser.randrange(1, 40)):
            kind = chooser.choice(("data", "heartbeat", "data", "outage"))
            now += chooser.choice((0, 1, 5, 20)) * MINUTE_NS
            events.append((kind, now - (chooser.choice((0, 0, 30)) * MINUTE_NS if kind == "data" else 0)))
        parts = Silence()
        cuts = sorted(chooser.sample(range(len(events) + 1), min(3, len(events))))
        for first, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
            parts.absorb(read(events[first:end]))
        whole = read(events)
        assert parts.gaps() == whole.gaps()
        assert parts.newest_unix_ns == whole.newest_unix_ns
