"""How old a folder of records is, and whether the clock that says so may be believed (docs/FORMAT.md, "Retention and
purge"). Fed what the leaves state, in log order. Pure.

A record's age counts from the first moment at or after its receipt at which the clock was synchronised, mapped back by
monotonic time within one boot: it may come out later than it was, never earlier.
"""

from array import array
from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import NamedTuple

from archive.retention.limits import NS, NS_PER_DAY

MAX_SAMPLE_AGE_NS = 3 * 3_600 * NS
"""Samples are sealed by the hour: two that are missed are a coincidence, three are not."""
MAX_STRAY_NS = 60 * NS
"""A time daemon slews or steps by less once it runs; more is a jump."""
MAX_AHEAD_NS = 60 * NS_PER_DAY
"""A machine that was off over the longest holidays; more, and the new boot's time is doubted."""
CALM_NS = 7 * NS_PER_DAY
"""Of synchronised samples after a jump, until the clock is believed again without a witness."""
ANCHOR_TOLERANCE_NS = 3_600 * NS
"""An anchor's time and the sample before it, which is up to an hour old."""
FOR_EVER_NS = 2**62
UNCLOSED_NS = NS_PER_DAY
"""Taken for the time between opening and the last record where a writer died: a file's records are of one UTC day."""


class Moment(NamedTuple):
    """Of the monotonic clock of one boot."""

    monotonic_ns: int
    boot_id: str


class Sample(NamedTuple):
    """What clock leaf `leaf` states of one moment."""

    leaf: int
    boot_id: str
    unix_ns: int
    monotonic_ns: int
    is_synchronised: bool


class Dated(NamedTuple):
    """When a folder's age starts, and the clock leaf that says so."""

    unix_ns: int
    leaf: int


@dataclass
class Jump:
    """The wall clock and something that does not jump disagreed at the first sample of `leaf` after it. `calm_ns` of
    synchronised samples have followed; `over_by` is the leaf that ended it. `synchronised_before` were taken before."""

    leaf: int
    from_unix_ns: int
    to_unix_ns: int
    calm_ns: int = 0
    over_by: int | None = None
    synchronised_before: int = 0


class ClockHistory:
    """All samples of a log, 33 bytes each. Leaves are added in their order."""

    def __init__(self) -> None:
        self._boots: dict[str, int] = {}
        self._boot_names: list[str] = []
        self._stated_by = array("q")
        """The first leaf that states each boot."""
        self._unix_ns, self._monotonic_ns, self._leaf, self._boot = array("q"), array("q"), array("q"), array("i")
        self._synchronised: list[list[tuple[int, int]]] = []
        """Of each boot: monotonic time and number of its synchronised samples, in that order."""
        self._first_in_leaf = array("q")
        """The first synchronised sample of every clock leaf that has one."""
        self._newest: Sample | None = None
        self.jump: Jump | None = None

    def state_boot(self, leaf: int, boot_id: str) -> int:
        """A leaf of kind clock, heartbeat or outage names the boot it was made in. Returns the boot's number."""
        number = self._boots.get(boot_id)
        if number is None:
            number = self._boots[boot_id] = len(self._boots)
            self._boot_names.append(boot_id)
            self._stated_by.append(leaf)
            self._synchronised.append([])
        return number

    def add_samples(self, leaf: int, boot_id: str, samples: list[tuple[int, int, bool]]) -> None:
        """The samples of a clock leaf: wall time, monotonic time, synchronised."""
        boot = self.state_boot(leaf, boot_id)
        is_first = True
        for unix_ns, monotonic_ns, is_synchronised in samples:
            sample = Sample(leaf, boot_id, unix_ns, monotonic_ns, is_synchronised)
            self._watch(sample)
            self._newest = sample
            if not is_synchronised:
                continue
            number = len(self._unix_ns)
            self._unix_ns.append(unix_ns)
            self._monotonic_ns.append(monotonic_ns)
            self._leaf.append(leaf)
            self._boot.append(boot)
            insort(self._synchronised[boot], (monotonic_ns, number))
            if is_first:
                self._first_in_leaf.append(number)
                is_first = False

    def add_anchor(self, leaf: int, unix_ns: int) -> None:
        """Somebody else stated the time: a jump before it is over if the clock agrees."""
        jump, newest = self.jump, self._newest
        if jump is not None and jump.over_by is None and newest is not None:
            if abs(unix_ns - newest.unix_ns) <= ANCHOR_TOLERANCE_NS:
                jump.over_by = leaf

    def confirm(self, leaf: int) -> None:
        """A person said, in a record of data leaf `leaf`, that the clock is right."""
        if self.jump is not None and self.jump.over_by is None and leaf > self.jump.leaf:
            self.jump.over_by = leaf

    def newest_synchronised(self, boot_id: str) -> Sample | None:
        """The newest synchronised sample of a boot."""
        boot = self._boots.get(boot_id)
        known = [] if boot is None else self._synchronised[boot]
        return self._sample(known[-1][1]) if known else None

    def date(self, leaf: int, closed: Moment | None, opened: Moment | None) -> Dated | None:
        """When the age of what data leaf `leaf` ends starts; None while no clock can tell."""
        start = closed or (Moment(opened.monotonic_ns + UNCLOSED_NS, opened.boot_id) if opened else None)
        boot = self._boots.get(start.boot_id) if start else None
        if start is not None and boot is not None:
            known = self._synchronised[boot]
            place = bisect_left(known, (start.monotonic_ns, -1))
            if place < len(known):
                sample = self._sample(known[place][1])
                return Dated(sample.unix_ns - (sample.monotonic_ns - start.monotonic_ns), sample.leaf)
        # A boot that was stated before is over, or is that of the records: its samples may be older than they are.
        place = bisect_left(self._first_in_leaf, leaf, key=lambda number: self._leaf[number])
        for number in self._first_in_leaf[place:]:
            if self._stated_by[self._boot[number]] > leaf:
                return Dated(self._unix_ns[number], self._leaf[number])
        return None

    def doubt_until(self, dated: Dated, closed: Moment | None) -> int:
        """The age start that no clock before the last jump has a say in: one that was wrong, though synchronised, may
        have called what is new old. That of `dated`, where nothing jumped since."""
        jump = self.jump
        if jump is None or dated.leaf >= jump.leaf:
            return dated.unix_ns
        trusted = range(jump.synchronised_before, len(self._unix_ns))
        boot = self._boots.get(closed.boot_id) if closed else None
        for number in trusted:
            if closed is not None and self._boot[number] == boot and self._monotonic_ns[number] >= closed.monotonic_ns:
                return max(dated.unix_ns, self._unix_ns[number] - (self._monotonic_ns[number] - closed.monotonic_ns))
        return max(dated.unix_ns, self._unix_ns[trusted.start]) if trusted else FOR_EVER_NS

    def _sample(self, number: int) -> Sample:
        boot_id = self._boot_names[self._boot[number]]
        return Sample(self._leaf[number], boot_id, self._unix_ns[number], self._monotonic_ns[number], True)

    def _watch(self, sample: Sample) -> None:
        before, jump = self._newest, self.jump
        if before is None:
            return
        wall_ns = sample.unix_ns - before.unix_ns
        passed_ns = sample.monotonic_ns - before.monotonic_ns
        is_same_boot = sample.boot_id == before.boot_id
        if is_same_boot and abs(wall_ns - passed_ns) > MAX_STRAY_NS:
            self.jump = Jump(sample.leaf, before.unix_ns, sample.unix_ns, synchronised_before=len(self._unix_ns))
        elif not is_same_boot and not -MAX_STRAY_NS <= wall_ns <= MAX_AHEAD_NS:
            self.jump = Jump(sample.leaf, before.unix_ns, sample.unix_ns, synchronised_before=len(self._unix_ns))
        elif jump is not None and jump.over_by is None and is_same_boot:
            if before.is_synchronised and sample.is_synchronised and 0 <= passed_ns <= MAX_SAMPLE_AGE_NS:
                jump.calm_ns += passed_ns
                if jump.calm_ns >= CALM_NS:
                    jump.over_by = sample.leaf


@dataclass(frozen=True)
class LiveClock:
    """The clock of this machine at this moment."""

    unix_ns: int
    monotonic_ns: int
    boot_id: str


class Steadiness(NamedTuple):
    """`now` is the sample that a purge may take for the present; None, with the reason, while nothing may be purged."""

    now: Sample | None
    problem: str


def judge_clock(history: ClockHistory, live: LiveClock) -> Steadiness:
    """Whether the clock may be believed."""
    jump = history.jump
    if jump is not None and jump.over_by is None:
        return Steadiness(
            None,
            f"the clock jumped at leaf {jump.leaf}; nothing is purged until it has been steady for "
            f"{CALM_NS // NS_PER_DAY} days, a witness or time stamp confirms it, or a person does",
        )
    now = history.newest_synchronised(live.boot_id)
    passed_ns = live.monotonic_ns - now.monotonic_ns if now else 0
    if now is None or not 0 <= passed_ns <= MAX_SAMPLE_AGE_NS:
        hours = MAX_SAMPLE_AGE_NS // (3_600 * NS)
        return Steadiness(None, f"no synchronised clock sample of this boot was sealed in the last {hours} hours")
    if abs(live.unix_ns - now.unix_ns - passed_ns) > MAX_STRAY_NS:
        return Steadiness(None, f"the clock has jumped since its last sealed sample, in leaf {now.leaf}")
    return Steadiness(now, "")
