"""Which days are due, and why the others are not."""

import pytest

from archive.retention.age import ClockHistory, LiveClock, Moment
from archive.retention.limits import NS, NS_PER_DAY
from archive.retention.plan import Facts, Folder, RetentionError, make_plan

START = 1_795_046_400 * NS
CLOSED_NS = 10 * NS


def facts_of(*folders: tuple[str, str], passed_ns: int, carry: str = "") -> tuple[Facts, LiveClock]:
    """Folders whose last file closed at `CLOSED_NS`, and samples at 60 s and at `passed_ns` after that."""
    clock = ClockHistory()
    clock.state_boot(0, "a")
    facts = Facts(100, {}, clock, {}, carry)
    for number, (stream, day) in enumerate(folders, 1):
        facts.folders[stream, day] = Folder(stream, day, number, number, 1, 10, 1_000, Moment(CLOSED_NS, "a"))
    moments = [CLOSED_NS + 60 * NS, CLOSED_NS + passed_ns]
    clock.add_samples(50, "a", [(START + at, at, True) for at in moments])
    return facts, LiveClock(START + moments[1], moments[1], "a")


@pytest.mark.parametrize(("passed_ns", "is_due"), [(90 * NS_PER_DAY - NS, False), (90 * NS_PER_DAY, True)])
def test_ninety_days_and_not_a_second_less(passed_ns: int, is_due: bool) -> None:
    facts, live = facts_of(("collector", "20261119"), passed_ns=passed_ns)
    [day] = make_plan(facts, 90, live).days
    assert day.is_due == is_due
    assert day.due_unix_ns == START + CLOSED_NS + 90 * NS_PER_DAY
    assert is_due or "not due" in day.why_not


@pytest.mark.parametrize("days", [89, 0, -1, 36_501, 90.0, True, None])
def test_fewer_days_than_the_law_allows_are_refused(days: object) -> None:
    facts, live = facts_of(("collector", "20261119"), passed_ns=400 * NS_PER_DAY)
    with pytest.raises(RetentionError, match="from 90 to"):
        make_plan(facts, days, live)  # type: ignore[arg-type]


def test_identity_and_cases_are_never_in_a_plan() -> None:
    folders = (("identity", "20261119"), ("cases", "20261119"), ("radius", "20261119"))
    facts, live = facts_of(*folders, passed_ns=400 * NS_PER_DAY)
    [day] = make_plan(facts, 92, live).due()
    assert [folder.stream for folder in day.folders] == ["radius"]


@pytest.mark.parametrize(("newest_carry", "is_due"), [("20261119", False), ("20261120", True)])
def test_a_day_waits_for_the_carry_after_it(newest_carry: str, is_due: bool) -> None:
    folders = (("carry", "20261119"), ("collector", "20261119"))
    facts, live = facts_of(*folders, passed_ns=100 * NS_PER_DAY, carry=newest_carry)
    [day] = make_plan(facts, 92, live).days
    assert day.is_due == is_due
    assert is_due or "carry" in day.why_not


def test_one_folder_without_an_age_keeps_its_day() -> None:
    facts, live = facts_of(("collector", "20261119"), ("radius", "20261119"), passed_ns=100 * NS_PER_DAY)
    facts.folders["radius", "20261119"].closed = None
    [day] = make_plan(facts, 92, live).days
    assert (day.age, day.due_unix_ns) == (None, None)
    assert "tells its age" in day.why_not


def test_the_latest_folder_gives_the_day_its_age() -> None:
    facts, live = facts_of(("collector", "20261119"), ("radius", "20261119"), passed_ns=100 * NS_PER_DAY)
    facts.folders["radius", "20261119"].closed = Moment(CLOSED_NS + 99 * NS_PER_DAY, "a")
    [day] = make_plan(facts, 92, live).days
    assert not day.is_due
    assert day.age is not None
    assert day.age.unix_ns == START + CLOSED_NS + 99 * NS_PER_DAY


def test_nothing_is_due_while_the_clock_is_in_doubt() -> None:
    facts, live = facts_of(("collector", "20261119"), passed_ns=400 * NS_PER_DAY)
    later = LiveClock(live.unix_ns + 4 * 3_600 * NS, live.monotonic_ns + 4 * 3_600 * NS, "a")
    plan = make_plan(facts, 92, later)
    assert (plan.clock.now, plan.due()) == (None, ())
    assert plan.days[0].why_not == plan.clock.problem


YEAR_NS = 365 * NS_PER_DAY


@pytest.mark.parametrize("rebooted", [False, True])
def test_a_clock_that_was_a_year_back_makes_nothing_of_today_due(rebooted: bool) -> None:
    """It said that it was synchronised; then it was put right, and an anchor confirmed that."""
    clock = ClockHistory()
    clock.state_boot(0, "a")
    folder = Folder("collector", "20251119", 1, 1, 1, 10, 1_000, Moment(CLOSED_NS, "a"))
    clock.add_samples(2, "a", [(START - YEAR_NS + at * NS, at * NS, True) for at in (20, 3_600)])
    boot = "b" if rebooted else "a"
    now = (50 if rebooted else 7_200) * NS
    clock.add_samples(3, boot, [(START + 7_200 * NS, now, True)])
    clock.add_anchor(4, START + 7_200 * NS)
    assert clock.jump is not None
    assert clock.jump.over_by == 4
    facts = Facts(100, {("collector", "20251119"): folder}, clock, {}, "")
    live = LiveClock(START + 7_200 * NS, now, boot)
    [day] = make_plan(facts, 90, live).days
    assert not day.is_due, day
    assert day.due_unix_ns is not None
    assert day.due_unix_ns >= START + 90 * NS_PER_DAY


def test_a_year_ahead_and_back_again_delays_nothing_of_the_same_boot() -> None:
    facts, _ = facts_of(("collector", "20261119"), passed_ns=3_600 * NS)
    facts.clock.add_samples(60, "a", [(START + YEAR_NS + 7_200 * NS, 7_200 * NS, True)])
    now = 92 * NS_PER_DAY
    facts.clock.add_samples(61, "a", [(START + now, now, True)])
    facts.clock.add_anchor(62, START + now)
    [day] = make_plan(facts, 90, LiveClock(START + now, now, "a")).days
    assert day.is_due
