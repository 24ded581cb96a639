"""A log of millions of tiny chunks, made fast and by hand: for memory and speed alone."""

import datetime
import hashlib
from pathlib import Path

from tests.archive.verify.hand_made_log import FIRST_UNIX_NS, HandMadeLog, encode_bundle, number_path, put, root_of

STREAMS = ("collector", "radius", "system")
PERIOD_NS = 10 * 1_000_000_000
CHUNK_BYTES = 16


def write_bulk_log(directory: Path, leaves_a_stream: int) -> HandMadeLog:
    """Three streams that close a file every ten seconds. The returned log holds leaf 0 alone in memory."""
    log = HandMadeLog(directory)
    writer = _BulkWriter(log)
    for sequence in range(leaves_a_stream):
        for stream in STREAMS:
            writer.append_chunk(stream, sequence)
    writer.publish()
    return log


class _BulkWriter:
    """Keeps the leaves of one bundle and all node hashes."""

    def __init__(self, log: HandMadeLog) -> None:
        self._log = log
        self._bundle = list(log.leaves)
        self._size = 1
        self._nodes: list[bytes] = []
        self._previous: dict[str, str] = dict.fromkeys(STREAMS, "null")
        self._segment: dict[str, tuple[str, bytearray]] = {}
        self._hashes = [hashlib.sha256(b"\x00" + log.leaves[0]).digest()]

    def append_chunk(self, stream: str, sequence: int) -> None:
        unix_ns = FIRST_UNIX_NS + sequence * PERIOD_NS
        chunk = hashlib.sha256(f"{stream} {sequence}".encode()).digest()[:CHUNK_BYTES]
        day = _day(unix_ns)
        segment, content = self._segment.get(stream, ("", bytearray()))
        if not segment.startswith(f"{stream}/{day}/"):
            self._write_segment(segment, content)
            segment, content = self._segment[stream] = f"{stream}/{day}/000000.seg", bytearray()
        offset = len(content)
        content += chunk
        moment = (
            f'{{"boot_id":"6c1c3b1e-0000-4000-8000-000000000001","monotonic_ns":"{sequence}","unix_ns":"{unix_ns}"}}'
        )
        leaf = (
            f'{{"closed":{moment},"dropped":{{}},"first_unix_ns":"{unix_ns}","kind":"data","last_unix_ns":"{unix_ns}",'
            f'"length":{CHUNK_BYTES},"log":"{self._log.origin}","offset":{offset},"opened":{moment},'
            f'"previous":{self._previous[stream]},"records":3,"segment":"{segment}",'
            f'"sha256":"{hashlib.sha256(chunk).hexdigest()}","spool_sequence":{sequence},"stream":"{stream}",'
            f'"torn_bytes":0,"v":1,"writer":"writer-{stream}"}}'
        ).encode()
        digest = hashlib.sha256(b"\x00" + leaf).digest()
        self._previous[stream] = f'{{"hash":"{digest.hex()}","leaf":{self._size}}}'
        self._bundle.append(leaf)
        self._hashes.append(digest)
        self._size += 1
        if len(self._bundle) == 256:
            self._write_bundle()

    def publish(self) -> None:
        for segment, content in self._segment.values():
            self._write_segment(segment, content)
        rightmost = list(self._hashes)
        if self._bundle:
            self._write_bundle()
        level, nodes = 1, self._nodes
        while nodes:
            parents = []
            for index in range(-(-len(nodes) // 256)):
                part = nodes[256 * index : 256 * index + 256]
                partial = "" if len(part) == 256 else f".p/{len(part)}"
                put(self._log.log / "tile" / str(level) / f"{number_path(index)}{partial}", b"".join(part))
                if len(part) == 256:
                    parents.append(root_of(part))
            level, nodes = level + 1, parents
        root = root_of([*self._nodes, root_of(rightmost)] if rightmost else self._nodes)
        note = self._log.sign_root(self._size, root)
        put(self._log.head_path, note)
        put(self._log.log / "checkpoint", note)

    def _write_bundle(self) -> None:
        width = len(self._bundle)
        partial = "" if width == 256 else f".p/{width}"
        index = (self._size - 1) // 256
        name = number_path(index)
        put(self._log.log / "tile" / "entries" / f"{name}{partial}.zst", encode_bundle(self._bundle))
        put(self._log.log / "tile" / "0" / f"{name}{partial}", b"".join(self._hashes))
        if width == 256:
            self._nodes.append(root_of(self._hashes))
        self._bundle.clear()
        self._hashes.clear()

    def _write_segment(self, segment: str, content: bytearray) -> None:
        if segment:
            put(self._log.log / "segments" / segment, bytes(content))


def _day(unix_ns: int) -> str:
    return f"{datetime.datetime.fromtimestamp(unix_ns // 10**9, datetime.UTC):%Y%m%d}"
