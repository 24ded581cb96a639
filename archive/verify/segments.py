"""Hashes every sealed chunk where its leaf says it is, on all cores, in big reads."""

import hashlib
import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from archive.verify.report import Findings, Report
from archive.verify.retention_facts import Missing
from archive.verify.streams import Chunk, Continuity, SegmentEnd

BLOCK_BYTES = 2 * 1024 * 1024
"""One read; small enough to be still in the processor's cache when it is hashed."""
JOB_BYTES = 64 * 1024 * 1024
"""Chunks of one segment hashed by one thread before the next job; a single large segment so keeps all cores
busy."""
JOB_CHUNKS = 4_096
JOBS_WAITING_PER_CORE = 4
MAX_WAITING_CHUNKS = 8_192
"""Chunks of all segments not handed to a thread yet. Both bound the memory of a log of millions of leaves."""


class ChunkCheck:
    """A pool of threads; hashing and reading release the interpreter's lock. Without `reads_chunks` only the lengths
    of the segments are looked at.
    """

    def __init__(self, segments: Path, findings: Findings, *, cores: int, reads_chunks: bool = True) -> None:
        self._segments = segments
        self._findings = findings
        self._reads_chunks = reads_chunks
        self._pool = ThreadPoolExecutor(cores, "verify")
        self._room = threading.Semaphore(cores * JOBS_WAITING_PER_CORE)
        self._waiting: dict[str, list[Chunk]] = {}
        self._waiting_bytes: dict[str, int] = {}
        self._waiting_chunks = 0
        self._futures: list[Future[None]] = []
        self.missing: list[Missing] = []
        """Segments that are not there, job by job: whether they were purged, all leaves say later."""
        self._local = threading.local()

    def add(self, chunk: Chunk) -> None:
        """Check `chunk` some time before `finish` returns."""
        segment = chunk.segment
        chunks = self._waiting.get(segment)
        if chunks is None:
            chunks = self._waiting[segment] = []
            self._waiting_bytes[segment] = 0
        chunks.append(chunk)
        self._waiting_chunks += 1
        self._waiting_bytes[segment] += chunk.length
        if self._waiting_bytes[segment] >= JOB_BYTES or len(chunks) >= JOB_CHUNKS:
            self._submit(segment)
        elif self._waiting_chunks >= MAX_WAITING_CHUNKS:
            self._submit(next(iter(self._waiting)))

    def finish(self) -> None:
        """Wait for every chunk. Raises OSError where a segment may not be read by this user."""
        for segment in list(self._waiting):
            self._submit(segment)
        self._pool.shutdown()
        for future in self._futures:
            future.result()

    def _submit(self, segment: str) -> None:
        chunks = self._waiting.pop(segment)
        self._waiting_chunks -= len(chunks)
        self._room.acquire()
        future = self._pool.submit(self._check, segment, chunks)
        future.add_done_callback(lambda _: self._room.release())
        self._futures = [f for f in self._futures if not f.done() or f.exception()]
        self._futures.append(future)

    def _check(self, segment: str, chunks: list[Chunk]) -> None:
        try:
            descriptor = os.open(self._segments / segment, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            first, file = chunks[0], f"log/segments/{segment}"
            folder = segment.rpartition("/")[0]
            self.missing.append(
                Missing("segment_missing", file, folder, first.leaf, chunks[-1].leaf, first.offset, first.leaf)
            )
            return
        try:
            self._check_open(descriptor, chunks)
        finally:
            os.close(descriptor)

    def _check_open(self, descriptor: int, chunks: list[Chunk]) -> None:
        """Reads runs of adjacent chunks into one buffer a thread; a chunk larger than that is hashed in
        pieces.
        """
        if not self._reads_chunks:
            self._check_lengths(descriptor, chunks)
            return
        start = 0
        while start < len(chunks):
            end, size = start + 1, chunks[start].length
            while end < len(chunks) and chunks[end].offset == chunks[end - 1].offset + chunks[end - 1].length:
                if size + chunks[end].length > BLOCK_BYTES:
                    break
                size += chunks[end].length
                end += 1
            if size > BLOCK_BYTES:
                self._check_large(descriptor, chunks[start])
            else:
                self._check_run(descriptor, chunks[start:end], size)
            start = end

    def _check_lengths(self, descriptor: int, chunks: list[Chunk]) -> None:
        size = os.fstat(descriptor).st_size
        for chunk in chunks:
            if chunk.offset + chunk.length > size:
                self._defect("segment_short", chunk)
                return

    def _check_run(self, descriptor: int, chunks: list[Chunk], size: int) -> None:
        first = chunks[0].offset
        block, got = self._read(descriptor, first, size, chunks[0])
        sha256 = hashlib.sha256
        for chunk in chunks:
            begin = chunk.offset - first
            if begin + chunk.length > got:
                self._defect("segment_short", chunk)
            elif sha256(block[begin : begin + chunk.length]).hexdigest() != chunk.sha256:
                self._defect("chunk_changed", chunk)

    def _check_large(self, descriptor: int, chunk: Chunk) -> None:
        digest = hashlib.sha256()
        done = 0
        while done < chunk.length:
            wanted = min(BLOCK_BYTES, chunk.length - done)
            block, got = self._read(descriptor, chunk.offset + done, wanted, chunk)
            if got < wanted:
                self._defect("segment_short", chunk)
                return
            digest.update(block[:got])
            done += got
        if digest.hexdigest() != chunk.sha256:
            self._defect("chunk_changed", chunk)

    def _read(self, descriptor: int, offset: int, size: int, chunk: Chunk) -> tuple[memoryview, int]:
        """The thread's own buffer and how much of `size` was there. A read error counts as not there, and is
        told.
        """
        block: memoryview | None = getattr(self._local, "block", None)
        if block is None:
            block = self._local.block = memoryview(bytearray(BLOCK_BYTES))
        got = 0
        try:
            while got < size and (count := os.preadv(descriptor, [block[got:size]], offset + got)):
                got += count
        except OSError as error:
            self._defect("unreadable", chunk, error.strerror)
        return block, got

    def _defect(self, code: str, chunk: Chunk, detail: object = "") -> None:
        self._findings.add_defect(
            code,
            f"log/segments/{chunk.segment}",
            detail=detail,
            stream=chunk.stream,
            segment=chunk.segment,
            offset=chunk.offset,
            leaf=chunk.leaf,
        )


def check_ends(segments: Path, continuity: Continuity, report: Report) -> None:
    """What lies in `segments` beyond the leaves: at the end of a stream the trace of a crash or of the
    running sealer, elsewhere a defect. Where leaves could not be read, nothing can be said.
    """
    if continuity.has_gaps:
        return
    last_names = {stream: _order(segment) for stream, segment in continuity.last_segments.items()}
    beyond: list[str] = []
    for path in sorted(segments.glob("*/*/*.seg")):
        segment = path.relative_to(segments).as_posix()
        known = continuity.segments.get(segment)
        stream = segment.partition("/")[0]
        newest = last_names.get(stream)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            continue
        if known is None:
            if not size:
                continue  # Begun, never written to and cut back to nothing by a start: it hides nothing.
            if newest is not None and _order(segment) < newest:
                report.add_defect("segment_unknown", f"log/segments/{segment}", stream=stream, segment=segment)
            else:
                beyond.append(f"{size} bytes of {segment}")
        elif size > known.end:
            _report_surplus(segment, size - known.end, known, continuity, report, beyond)
    if beyond:
        report.add_statement("segment_beyond_head", "; ".join(beyond))


def _report_surplus(
    segment: str, surplus: int, known: SegmentEnd, continuity: Continuity, report: Report, beyond: list[str]
) -> None:
    if continuity.last_segments[known.stream] == segment:
        beyond.append(f"{surplus} bytes of {segment}")
        return
    report.add_defect(
        "segment_trailing",
        f"log/segments/{segment}",
        detail=surplus,
        stream=known.stream,
        segment=segment,
        offset=known.end,
    )


def _order(segment: str) -> tuple[str, ...]:
    return tuple(segment.split("/"))
