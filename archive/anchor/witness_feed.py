"""One witness: every head that comes out is brought to it, the newest alone when it was away."""

import logging
from typing import Any, Protocol

from archive.anchor.check import WITNESS
from archive.anchor.published import HeadReplacedError, PublishedHead, PublishedLog
from archive.anchor.store import AnchorStore
from archive.anchor.target import NS, POLL_SECONDS, Backoff, StateFile
from archive.clock import Clock
from archive.cosignature import WitnessKey
from archive.errors import AnchorError, ArchiveError
from archive.witness.client import Cosigned, ProofMaker

SUBMIT_PAUSE_SECONDS = 5.0
"""A witness is a guest's machine: it is asked at most this often, though heads may come faster than the usual ten
seconds."""
HANDED_OVER_SECONDS = 300.0
"""At most one cosignature of a witness in this time becomes a leaf: an idle log must not grow by its own anchors."""

log = logging.getLogger(__name__)


class AddCheckpoint(Protocol):
    """Of archive.witness.client.WitnessClient, what is needed here."""

    def add_checkpoint(self, note: bytes, old_size: int, make_proof: ProofMaker) -> Cosigned: ...


REPLACED_SECONDS = 0.2
"""Before the newer head is taken, which took the tiles of the one at hand."""


class WitnessFeed:
    """Not thread-safe: one thread calls `step`. `report` may be called by another."""

    kind = WITNESS

    def __init__(
        self, client: AddCheckpoint, key: WitnessKey, published: PublishedLog, store: AnchorStore, clock: Clock
    ) -> None:
        self._client = client
        self._key = key
        self._published = published
        self._store = store
        self._clock = clock
        self._backoff = Backoff()
        self._state_file = StateFile(store.folder, WITNESS, key.text(), published.key.text())
        self._state = self._state_file.load({"size": 0, "last_success_unix_ns": 0, "handed_over_unix_ns": 0})
        self._waiting = False
        self._problem: str | None = None

    @property
    def name(self) -> str:
        return self._key.name

    def step(self) -> float:
        """Bring it the newest head, if that is due. Returns the seconds until it is worth calling again."""
        left = self._backoff.seconds_left(self._clock.monotonic_ns())
        if left > 0:
            return left
        try:
            head = self._published.newest()
            if head.checkpoint.size < self._state["size"]:
                raise AnchorError(
                    f"witness {self._key.name} has cosigned {self._state['size']} leaves, the published head has "
                    f"{head.checkpoint.size}: an older state was restored"
                )
            self._waiting = head.checkpoint.size > self._state["size"]
            if not self._waiting:
                return POLL_SECONDS
            self._deliver(head)
        except HeadReplacedError:
            return REPLACED_SECONDS
        except (ArchiveError, OSError) as error:
            self.fail(error)
        return self._backoff.seconds_left(self._clock.monotonic_ns())

    def finish(self) -> None:
        """Bring it the last head before the process ends, pause or not; one that failed last is not tried again."""
        if not self._backoff.failures:
            self._backoff = Backoff()
            self.step()

    def fail(self, error: Exception) -> None:
        """Say what went wrong and wait longer each time."""
        if self._problem != str(error):
            log.warning("%s: %s", self._key.name, error)
        self._problem = str(error)
        self._backoff.fail(self._clock.monotonic_ns())

    def report(self) -> dict[str, Any]:
        """What `status` shows of it."""
        return {
            "name": self._key.name,
            "last_success_unix_ns": str(self._state["last_success_unix_ns"]),
            "size": self._state["size"],
            "queue": int(self._waiting),
            "dropped": 0,
            "problem": self._problem,
        }

    def _deliver(self, head: PublishedHead) -> None:
        cosigned = self._client.add_checkpoint(
            head.note, self._state["size"], lambda old_size: self._published.proof(head, old_size)
        )
        self._store.keep_cosignature(head, cosigned.line)
        now = self._clock.unix_ns()
        state = {**self._state, "size": head.checkpoint.size, "last_success_unix_ns": now}
        # A clock that was set back makes the last time lie ahead; it is due then too.
        if not 0 <= now - self._state["handed_over_unix_ns"] < HANDED_OVER_SECONDS * NS:
            fields = {
                "by": WITNESS,
                "name": self._key.name,
                "checkpoint": head.note.decode(),
                "unix_ns": str(cosigned.unix_seconds * NS),
                "vkey": self._key.text(),
                "evidence": cosigned.line,
            }
            if self._store.hand_over(fields, may_be_left_out=True):
                state["handed_over_unix_ns"] = now
        self._state_file.save(state)
        self._state = state
        self._waiting = False
        self._problem = None
        self._backoff.succeed(self._clock.monotonic_ns(), SUBMIT_PAUSE_SECONDS)
