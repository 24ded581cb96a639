"""Times between leaves: a log that was running states something every five minutes. Pure."""

from dataclasses import dataclass, field

HEARTBEAT_NS = 300 * 1_000_000_000
SLACK_NS = 60 * 1_000_000_000
"""A heartbeat waits for the turn of the next head, and what is received before it for its file to be closed."""
SILENT_NS = 2 * HEARTBEAT_NS + SLACK_NS
"""One heartbeat may be left out for a leaf that states no time."""


@dataclass
class _Step:
    """To a later time than all before it in a range. `start_unix_ns` is None for the first time of the range; `is_open`
    is whether an earlier range may know a later start; `is_received`, whether the time is one of receipt."""

    start_unix_ns: int | None
    end_unix_ns: int
    is_open: bool
    is_received: bool


@dataclass
class Silence:
    """Fed the leaves' own times in order, or ranges of a log one after the other. Times that lie behind a later one
    are of what waited; only a stated step of the clock sets the time back."""

    newest_unix_ns: int | None = None
    steps: list[_Step] = field(default_factory=list)
    was_set: bool = False
    """Whether a leaf of this range stated where the time stood, so that what was before it counts no more."""
    set_back_from_unix_ns: int | None = None
    """Where the clock stood before its last step back: files from before that step may be sealed after it."""

    def see(self, unix_ns: int, *, is_received: bool = False) -> None:
        """`is_received`: the time is that of the first record of a chunk, not of the leaf."""
        if self.newest_unix_ns is None or unix_ns - self.newest_unix_ns > SILENT_NS:
            if is_received and unix_ns <= (self.set_back_from_unix_ns or 0):
                return
            self.steps.append(_Step(self.newest_unix_ns, unix_ns, not self.was_set, is_received))
        self.newest_unix_ns = max(unix_ns, self.newest_unix_ns or unix_ns)

    def set_to(self, unix_ns: int, *, back_from_unix_ns: int | None = None) -> None:
        """A step of the clock back, or the end of a stated outage."""
        self.newest_unix_ns = unix_ns
        self.set_back_from_unix_ns = back_from_unix_ns or self.set_back_from_unix_ns
        self.was_set = True

    def absorb(self, following: "Silence") -> None:
        """Continue with the range of the log that follows."""
        known = self.newest_unix_ns
        for step in following.steps:
            starts = [one for one in (step.start_unix_ns, known if step.is_open else None) if one is not None]
            start = max(starts, default=None)
            is_late = step.is_open and step.is_received and step.end_unix_ns <= (self.set_back_from_unix_ns or 0)
            if not is_late and (start is None or step.end_unix_ns - start > SILENT_NS):
                self.steps.append(_Step(start, step.end_unix_ns, step.is_open and not self.was_set, step.is_received))
        if following.newest_unix_ns is not None:
            is_behind = not following.was_set and known is not None and known > following.newest_unix_ns
            self.newest_unix_ns = known if is_behind else following.newest_unix_ns
        self.set_back_from_unix_ns = following.set_back_from_unix_ns or self.set_back_from_unix_ns
        self.was_set |= following.was_set

    def gaps(self) -> list[tuple[int, int]]:
        """From and to of every silence that no leaf explains."""
        return [(step.start_unix_ns, step.end_unix_ns) for step in self.steps if step.start_unix_ns is not None]
