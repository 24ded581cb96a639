"""P2: syslog over UDP on one port: the highest rate without loss against rsyslogd imudp, and whether a receiver that
was paused reports exactly what it lost."""

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from archive.chunk import decode_chunk
from archive.index.checkpoint import read_checkpoint
from archive.index.worker import stored_chunk
from archive.leaf import decode_leaf
from archive.segment import read_stored_chunk
from archive.tree import TreeReader
from tests.bench.contestants import Contestant, Phayan, Rsyslogd
from tests.bench.figure import Figure
from tests.bench.senders import LINE_BYTES, make_lines, send_udp

START_PER_SECOND = 50_000
TOP_PER_SECOND = 1_600_000
"""More than one loopback sender reaches; there the sender's own rate is the figure, named as such."""
STEP = 1.25
SECONDS = 2.0
"""Of sending at one rate: longer than either receiver's buffers can hide, at the rates where loss begins."""
SETTLE_SECONDS = 4.0
"""Nothing more comes when nothing was stored for so long; our counters are written every second."""
SEALED_SECONDS = 60.0
PAUSED_RATE_PER_SECOND = 100_000
PAUSED_LINES = 600_000
PAUSE_AFTER_SECONDS, PAUSE_SECONDS = 1.0, 4.0
LOST_RANGE = (0.2, 0.8)
TARGET = 1.0


def _send(port: int, total: int, per_second: int) -> tuple[int, float]:
    """Lines sent and the rate they were really sent at."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_timed, (port, total, per_second))


def _timed(port: int, total: int, per_second: int) -> tuple[int, float]:
    lines = make_lines()
    started = time.perf_counter()
    sent = send_udp(port, lines, total, per_second)
    return sent, sent / (time.perf_counter() - started)


def _highest_rate(contestant: Contestant, port: int, stored: Callable[[], int]) -> tuple[float, bool]:
    """Highest rate of which every line was stored, rates going up by STEP; and whether the sender was the limit."""
    best, before = 0.0, stored()
    asked = float(START_PER_SECOND)
    while asked < TOP_PER_SECOND:
        sent, rate = _send(port, int(asked * SECONDS), int(asked))
        if not _wait(lambda sent=sent, before=before: stored() - before >= sent, stored):
            return best, False
        before += sent
        best = max(best, rate)
        if rate < asked * 0.9:
            return best, True
        asked *= STEP
    return best, True


def _wait(done: Callable[[], bool], stored: Callable[[], int]) -> bool:
    """Whether it is done before nothing has moved for a while; a lost datagram never comes."""
    last, moved = stored(), time.monotonic()
    while not done():
        if stored() != last:
            last, moved = stored(), time.monotonic()
        if time.monotonic() - moved > SETTLE_SECONDS:
            return False
        time.sleep(0.2)
    return True


def _ours() -> tuple[float, bool]:
    with Phayan(Path(tempfile.mkdtemp(prefix="phayan-p2-"))) as contestant:
        return _highest_rate(contestant, contestant.syslog_port, lambda: _received(contestant))


def _peer() -> tuple[float, bool]:
    with Rsyslogd(Path(tempfile.mkdtemp(prefix="phayan-p2-")), "imudp") as contestant:
        return _highest_rate(contestant, contestant.syslog_port, lambda: contestant.written_bytes() // (LINE_BYTES + 1))


def _received(contestant: Phayan) -> int:
    """Lines in the spool, by the collector's own counter (the file is rewritten every second)."""
    listeners = json.loads((contestant.paths.run / "collector.json").read_text())["listeners"]
    return int(listeners[f"syslog/udp-{contestant.syslog_port}"]["received_records"])


def _paused() -> tuple[int, int, int]:
    """Lines sent while the collector was stopped by SIGSTOP for a while; stored (sealed); reported as lost."""
    with Phayan(Path(tempfile.mkdtemp(prefix="phayan-p2-"))) as contestant:
        collector = contestant.processes[1].pid
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            sending = pool.apply_async(_timed, (contestant.syslog_port, PAUSED_LINES, PAUSED_RATE_PER_SECOND))
            time.sleep(PAUSE_AFTER_SECONDS)
            os.kill(collector, signal.SIGSTOP)
            try:
                time.sleep(PAUSE_SECONDS)
            finally:
                os.kill(collector, signal.SIGCONT)
            sent, _ = sending.get()
        deadline = time.monotonic() + SEALED_SECONDS
        stored, reported = _journal(contestant)
        while stored + reported < sent and time.monotonic() < deadline:
            time.sleep(1)
            stored, reported = _journal(contestant)
        return sent, stored, reported


def _journal(contestant: Phayan) -> tuple[int, int]:
    """Lines in sealed chunks, and the sum of the sealed records that say how many the kernel dropped."""
    reader = TreeReader(contestant.paths.log, read_checkpoint(contestant.paths).size)
    stored = reported = 0
    try:
        leaves = [decode_leaf(reader.leaf(index)) for index in range(reader.size)]
    except FileNotFoundError:  # a newer head came meanwhile
        return 0, 0
    for leaf in leaves:
        if leaf.get("stream") != "collector" or not leaf.get("records"):
            continue
        chunk = decode_chunk(read_stored_chunk(contestant.paths.segments, stored_chunk(leaf)))
        listeners = chunk.column("listener").cast(pa.string()).to_numpy(zero_copy_only=False)
        stored += int((listeners == f"syslog/udp-{contestant.syslog_port}").sum())
        for payload in chunk.column("payload").filter(pa.array(listeners == "loss")).to_pylist():
            loss = json.loads(payload)
            reported += loss["count"] if loss["how"] == "kernel_socket_drops" else 0
    return stored, reported


def figures(runs: int) -> Iterator[Figure]:
    """The highest rate, and the share of true reports after a pause."""
    rate = Figure("P2", "syslog UDP, one port, highest rate without loss", "lines a second", TARGET, better="higher")
    for run in range(runs):
        (ours, our_limit), (peer, peer_limit) = _ours(), _peer()
        rate.add(ours, peer)
        limits = [name for name, limit in (("ours", our_limit), ("rsyslogd's", peer_limit)) if limit]
        rate.notes = f"rates in steps of {STEP}, {SECONDS:.0f} s each, 180-byte lines" + (
            f"; the sender, not the receiver, was the limit of {' and '.join(limits)}" if limits else ""
        )
        print(f"P2 rate: {rate.ours[run]:.0f} / {rate.peer[run]:.0f}; {rate.notes}", file=sys.stderr)
    yield rate
    exact = Figure("P2", "syslog UDP, receiver paused: reported = sent - stored", "share of runs", 1.0, better="higher")
    notes = []
    for _ in range(runs):
        sent, stored, reported = _paused()
        share = (sent - stored) / sent
        in_range = LOST_RANGE[0] <= share <= LOST_RANGE[1]
        exact.add_absolute(float(reported == sent - stored and in_range))
        notes.append(f"sent {sent}, stored {stored}, lost {sent - stored} ({share:.0%}), reported {reported}")
        print(f"P2 paused: {notes[-1]}", file=sys.stderr)
    exact.notes = "; ".join(notes)
    yield exact
