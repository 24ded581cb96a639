"""Before its first signature after a start the sealer compares its head with every head that is kept outside. Without
it a machine restored from a snapshot would fork the log it once signed."""

import logging

from archive.anchor.judgement import JudgedHead, Judgement, judge_heads
from archive.anchor.outside_heads import ask_for_heads, read_found
from archive.clock import Clock
from archive.errors import ArchiveStateError
from archive.merkle import tree_root
from archive.note import Checkpoint, VerifierKey, open_checkpoint
from archive.origin import ArchivePaths
from archive.sealing.machine import is_known_machine, remember_machine
from archive.tree import TreeReader

NS = 1_000_000_000
ANSWER_SECONDS = 60.0
"""The anchor process may start after the sealer and waits itself for slow witnesses; after this time nobody
answered."""
ASK_AGAIN_SECONDS = 60.0
"""While signing is refused: a witness that was unreachable may come back."""

log = logging.getLogger(__name__)


class FirstHead:
    """`is_allowed` is called until it says yes. `problem` is the sentence to be shown while it says no, `code` what it
    is.

    `has_sources` is whether witnesses or copies are configured. Without any, a rollback of the whole machine cannot be
    told from a start, and nothing is asked.
    """

    def __init__(self, paths: ArchivePaths, log_key: VerifierKey, clock: Clock, *, has_sources: bool) -> None:
        self._paths = paths
        self._key = log_key
        self._clock = clock
        self._is_allowed = not has_sources
        self._nonce: str | None = None
        self._next_ns = clock.monotonic_ns()
        self.problem = ""
        self.code = ""

    def is_allowed(self) -> bool:
        """Whether the sealer may sign. Raises OSError, ArchiveError for a head or tree that cannot be read."""
        if self._is_allowed:
            return True
        now = self._clock.monotonic_ns()
        if self._nonce is None:
            if now < self._next_ns:
                return False
            self._nonce = ask_for_heads(self._paths, self._key.name)
            self._next_ns = now + int(ANSWER_SECONDS * NS)
            self.problem = self.problem or "waiting for the heads that witnesses and copies hold"
        found = read_found(self._paths, self._nonce)
        if found is None and now < self._next_ns:
            return False
        self._nonce, self._next_ns = None, now + int(ASK_AGAIN_SECONDS * NS)
        own = open_checkpoint(self._paths.head.read_bytes(), self._key)
        self._decide(own, judge_heads(own, self._key, found or [], self._root_at))
        return self._is_allowed

    def _decide(self, own: Checkpoint, judgement: Judgement) -> None:
        for name, reason in (*judgement.foreign, *judgement.unreachable):
            log.warning("the head at %s was not compared: %s", name, reason)
        if judgement.forked:
            self._say("outside_head_forked", _sentence(judgement.forked[0], own, "another log of the same size"))
        elif judgement.ahead:
            self._say("outside_head_ahead", _sentence(judgement.ahead[0], own, "a newer head"))
        elif not judgement.reached and not is_known_machine(self._paths):
            self._say(
                "outside_heads_unreachable",
                "no witness and no copy can be asked, and this is another machine or disk than the one that signed "
                "last; make one of them reachable, or say `phayan keys trust-machine` if nothing was restored",
            )
        else:
            remember_machine(self._paths)
            self._is_allowed = True
            self._say("", "")

    def _say(self, code: str, problem: str) -> None:
        if code and problem != self.problem:
            log.error("nothing is signed: %s", problem)
        self.code, self.problem = code, problem

    def _root_at(self, size: int) -> bytes:
        own = open_checkpoint(self._paths.head.read_bytes(), self._key)
        try:
            return tree_root(size, TreeReader(self._paths.log, own.size).node)
        except FileNotFoundError as error:
            raise ArchiveStateError(
                f"a tile of the head's tree is missing: {error.filename}", code="head_root"
            ) from error


def _sentence(seen: JudgedHead, own: Checkpoint, what: str) -> str:
    return (
        f"{seen.name} has {what} of this log ({seen.checkpoint.size} leaves, ours has {own.size}): this machine was "
        "put back to an older state. Bring the newer state back, or begin a new log with `phayan keys change "
        "--why restored`"
    )
