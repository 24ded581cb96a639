"""When a folder's age starts, and when the clock that says so is not believed."""

import pytest

from archive.retention.age import CALM_NS, ClockHistory, Dated, LiveClock, Moment, judge_clock
from archive.retention.limits import NS, NS_PER_DAY

HOUR = 3_600 * NS
TRUE = 1_795_046_400 * NS
"""Wall time of boot a's monotonic zero."""
BOOT_AT_2020 = 1_577_836_800 * NS


class Story:
    """Clock leaves one after another; `wall` is what the clock shows at monotonic zero of the boot at hand."""

    def __init__(self) -> None:
        self.history = ClockHistory()
        self.leaf, self.boot, self.wall, self.now = 0, "a", TRUE, 0

    def next_leaf(self) -> int:
        self.leaf += 1
        return self.leaf

    def samples(self, hours: int, *, synchronised: bool = True) -> int:
        """A clock leaf with a sample an hour."""
        moments = []
        for _ in range(hours):
            self.now += HOUR
            moments.append((self.wall + self.now, self.now, synchronised))
        self.history.add_samples(self.next_leaf(), self.boot, moments)
        return self.leaf

    def reboot(self, boot: str, wall: int) -> None:
        self.boot, self.wall, self.now = boot, wall, 0
        self.history.state_boot(self.next_leaf(), boot)

    def data(self) -> tuple[int, Moment]:
        return self.next_leaf(), Moment(self.now, self.boot)

    def date(self, data: tuple[int, Moment]) -> Dated | None:
        return self.history.date(*data, None)

    def live(self) -> LiveClock:
        return LiveClock(self.wall + self.now, self.now, self.boot)

    def problem(self) -> str:
        return judge_clock(self.history, self.live()).problem


def test_the_next_sample_of_the_boot_tells_the_age_to_the_nanosecond() -> None:
    story = Story()
    story.samples(3)
    story.now += 17
    data = story.data()
    leaf = story.samples(3)
    assert story.date(data) == Dated(TRUE + 3 * HOUR + 17, leaf)


def test_unsynchronised_for_a_hundred_days_has_no_age_until_it_is() -> None:
    story = Story()
    story.wall = BOOT_AT_2020
    data = story.data()
    for _ in range(100):
        story.samples(24, synchronised=False)
    assert story.date(data) is None
    story.wall = TRUE
    leaf = story.samples(1)
    assert story.date(data) == Dated(TRUE, leaf)
    assert "jumped" in story.problem()


def test_the_age_of_another_boot_starts_with_its_first_sample() -> None:
    story = Story()
    data = story.data()
    story.reboot("b", TRUE + 5 * NS_PER_DAY)
    leaf = story.samples(2)
    assert story.date(data) == Dated(TRUE + 5 * NS_PER_DAY + HOUR, leaf)


def test_samples_that_an_earlier_boot_left_behind_are_not_later() -> None:
    """Boot a's samples are sealed behind the records of boot b, which has none: 30 days would be too early."""
    story = Story()
    story.samples(1)
    left = [(TRUE + 2 * HOUR, 2 * HOUR, True)]
    story.reboot("b", BOOT_AT_2020)
    data = story.data()
    story.history.add_samples(story.next_leaf(), "a", left)
    assert story.date(data) is None
    story.reboot("c", TRUE + 30 * NS_PER_DAY)
    leaf = story.samples(1)
    assert story.date(data) == Dated(TRUE + 30 * NS_PER_DAY + HOUR, leaf)


@pytest.mark.parametrize("has_opened", [True, False])
def test_a_file_whose_writer_died_is_dated_later_never_earlier(has_opened: bool) -> None:
    story = Story()
    story.samples(1)
    leaf, opened = story.data()
    after = story.samples(30)
    found = story.history.date(leaf, None, opened if has_opened else None)
    assert found == (Dated(TRUE + 25 * HOUR, after) if has_opened else None)


JUMPS = {
    "ahead a year": (lambda s: setattr(s, "wall", s.wall + 365 * NS_PER_DAY), True),
    "back a minute and a second": (lambda s: setattr(s, "wall", s.wall - 61 * NS), True),
    "stepped by a minute": (lambda s: setattr(s, "wall", s.wall + 60 * NS), False),
    "boot at 2020": (lambda s: s.reboot("b", BOOT_AT_2020), True),
    "boot after the holidays": (lambda s: s.reboot("b", s.wall + s.now + 59 * NS_PER_DAY), False),
    "boot after 61 days": (lambda s: s.reboot("b", s.wall + s.now + 61 * NS_PER_DAY), True),
}


@pytest.mark.parametrize("case", JUMPS)
def test_what_is_a_jump(case: str) -> None:
    happens, is_jump = JUMPS[case]
    story = Story()
    story.samples(24)
    happens(story)
    story.samples(2)
    assert ("jumped" in story.problem()) == is_jump


def jumped() -> Story:
    story = Story()
    story.samples(24)
    story.wall += 365 * NS_PER_DAY
    story.samples(1)
    assert "jumped" in story.problem()
    return story


def test_a_jump_is_over_after_seven_days_of_samples_and_not_an_hour_before() -> None:
    story = jumped()
    for _ in range(CALM_NS // HOUR - 1):
        story.samples(1)
        assert story.problem()
    story.samples(1)
    assert story.problem() == ""


def test_unsynchronised_days_do_not_calm() -> None:
    story = jumped()
    for _ in range(30):
        story.samples(24, synchronised=False)
    assert "jumped" in story.problem()


@pytest.mark.parametrize(("off_seconds", "is_over"), [(0, True), (3_600, True), (3_601, False), (365 * 86_400, False)])
def test_an_anchor_ends_it_if_it_states_the_same_time(off_seconds: int, is_over: bool) -> None:
    story = jumped()
    story.history.add_anchor(story.next_leaf(), story.wall + story.now - off_seconds * NS)
    assert (story.problem() == "") == is_over


def test_a_person_ends_it_and_another_jump_begins_anew() -> None:
    story = jumped()
    story.history.confirm(story.next_leaf())
    assert story.problem() == ""
    story.wall -= NS_PER_DAY
    story.samples(1)
    assert "jumped" in story.problem()


LIVE = {
    "at once": (0, 0, ""),
    "three hours": (3 * HOUR, 0, ""),
    "older": (3 * HOUR + 1, 0, "last 3 hours"),
    "live clock ahead": (HOUR, 61 * NS, "since its last sealed sample"),
    "live clock behind": (HOUR, -61 * NS, "since its last sealed sample"),
    "slewed": (HOUR, 60 * NS, ""),
}


@pytest.mark.parametrize("case", LIVE)
def test_the_present_is_a_sealed_sample_that_the_live_clock_agrees_with(case: str) -> None:
    passed, stray, problem = LIVE[case]
    story = Story()
    leaf = story.samples(2)
    live = LiveClock(story.wall + story.now + passed + stray, story.now + passed, "a")
    steadiness = judge_clock(story.history, live)
    assert problem in steadiness.problem
    assert bool(steadiness.now) == (problem == "")
    assert steadiness.now is None or (steadiness.now.leaf, steadiness.now.unix_ns) == (leaf, story.wall + story.now)


def test_a_sample_of_another_boot_is_not_the_present() -> None:
    story = Story()
    story.samples(2)
    story.reboot("b", story.wall + story.now)
    assert "of this boot" in story.problem()
