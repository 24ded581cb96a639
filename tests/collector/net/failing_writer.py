"""A spool that refuses while `full` is set, as one on a full disk does."""

from archive.errors import SpoolError
from archive.spool_batch import Batch, ReadBatch


class FailingWriter:
    def __init__(self) -> None:
        self.full = True
        self.batches: list[Batch | ReadBatch] = []
        self.events: list[tuple[str, bytes]] = []
        self.dropped: dict[str, int] = {}

    def append(self, payload: bytes, *, listener: str) -> int:
        self._refuse_when_full()
        self.events.append((listener, payload))
        return 0

    def append_batch(self, batch: Batch | ReadBatch) -> int:
        self._refuse_when_full()
        self.batches.append(batch)
        return 0

    def wait_durable(self, ticket: int, timeout_seconds: float = 10.0) -> None:
        self._refuse_when_full()

    def note_dropped(self, listener: str, total_dropped: int) -> None:
        self.dropped[listener] = total_dropped

    def _refuse_when_full(self) -> None:
        if self.full:
            raise SpoolError("no space left on device", code="spool_write")
