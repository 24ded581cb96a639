"""Moments as people write and read them."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archive.errors import ArchiveFormatError
from archive.time_text import format_english, format_iso, format_thai, format_utc_time, parse_time

NS = 1_000_000_000
NOW = 1_795_000_000 * NS + 5
MOMENT = int(datetime(2026, 11, 20, 1, 1, 12, tzinfo=UTC).timestamp()) * NS


@pytest.mark.parametrize(
    ("text", "unix_ns"),
    [
        ("now", NOW),
        (" now ", NOW),
        ("-15m", NOW - 900 * NS),
        ("- 2 h", NOW - 7200 * NS),
        ("-1d", NOW - 86_400 * NS),
        ("-0s", NOW),
        ("2026-11-20T08:01:12+07:00", MOMENT),
        ("2026-11-20T08:01:12+0700", MOMENT),
        ("2026-11-20 01:01:12Z", MOMENT),
        ("2026-11-19T20:31:12-04:30", MOMENT),
        ("2026-11-20 08:01:12", MOMENT),
        ("2569-11-20 08:01:12", MOMENT),
        ("2569-11-20T01:01:12Z", MOMENT),
        ("2026-11-20 08:01", MOMENT - 12 * NS),
        ("2026-11-20T08:01:12.5", MOMENT + NS // 2),
        ("2026-11-20T08:01:12,000000001", MOMENT + 1),
        ("2026-1-2", int(datetime(2026, 1, 1, 17, tzinfo=UTC).timestamp()) * NS),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.25Z", -NS + NS // 4),
        ("2567-02-29 00:00Z", int(datetime(2024, 2, 29, tzinfo=UTC).timestamp()) * NS),
        ("2399-01-01T00:00:00Z", int(datetime(2399, 1, 1, tzinfo=UTC).timestamp()) * NS),
        ("2400-01-01T00:00:00Z", int(datetime(1857, 1, 1, tzinfo=UTC).timestamp()) * NS),
    ],
)
def test_both_eras_offsets_and_site_time(text: str, unix_ns: int) -> None:
    assert parse_time(text, now_unix_ns=NOW) == unix_ns


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "15m", "-15", "-15 w", "2026-13-01", "2026-02-29", "2567-02-30", "20-11-2026", "2026-11-20T24:00",
     "2026-11-20T08:01:12.", "2026-11-20T08:01:12.1234567890", "2026-11-20T08:01:61", "2026-11-20T08", "๒๕๖๙-๑๑-๒๐",
     "2026-11-20T08:01:12+7", "2026-11-20T08:01:12+07:00x", "-1234567m", "0000-01-01", "now now",
     "2026-11-20T08:01:12+07:99",
     "2026-11-20T08:01:12+99:00"],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_what_is_valid(text: str) -> None:
    with pytest.raises(ArchiveFormatError) as caught:
        parse_time(text, now_unix_ns=NOW)
    assert caught.value.code == "bad_time"
    assert "2569-11-20" in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.text("0123456789-+: TZ.,nowsmhd", max_size=36))
@example("9999-12-31T23:59:59-99:59")
@example("0001-01-01T00:00:00+99:59")
@example("0001-01-01")
@example("9999-12-31T23:59:59Z")
def test_any_text_is_a_time_or_refused_in_the_family(text: str) -> None:
    try:
        parse_time(text, now_unix_ns=NOW)
    except ArchiveFormatError:
        return


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 4_102_444_800 * NS), st.sampled_from(["Asia/Bangkok", "UTC", "America/St_Johns"]))
def test_what_is_printed_is_read_back_to_the_nanosecond(unix_ns: int, zone: str) -> None:
    assert parse_time(format_iso(unix_ns, zone), now_unix_ns=0, zone="UTC") == unix_ns


def test_forms_for_people() -> None:
    moment = MOMENT + 410_000_001
    assert format_iso(moment) == "2026-11-20T08:01:12.410000001+07:00"
    assert format_iso(moment, "UTC") == "2026-11-20T01:01:12.410000001+00:00"
    assert format_english(moment) == "2026-11-20 08:01:12.410 +07:00"
    assert format_thai(moment) == "20 พ.ย. 2569 08:01:12.410 น. (+07:00)"
    assert format_utc_time(moment) == "261120010112Z"


def test_the_era_of_the_day_changes_at_site_midnight() -> None:
    last = int(datetime(2026, 12, 31, 16, 59, 59, tzinfo=UTC).timestamp()) * NS
    assert format_thai(last).startswith("31 ธ.ค. 2569 23:59:59")
    assert format_thai(last + NS).startswith("1 ม.ค. 2570 00:00:00")
