"""Time of receipt, sender, and the clocks: what is proven of them and what is only stated. Pure."""

from collections.abc import Iterator

from archive.addresses import format_address, format_endpoint
from archive.package.content import CARRIED_TEMPLATE, TEMPLATE, CitedRecord, PackageContent
from archive.package.letter_answer import place_text
from archive.package.letter_blocks import Block, Facts, Paragraph, Section, Table
from archive.package.letter_words import Pair, given, joined, moment_ns, name, same, text, word
from archive.schema import UNKNOWN_ADDRESS

NS = 1_000_000_000
SOURCE_TIMES = {"logs": "device_time", "nat": "time", "flows": "end", "sessions": "time"}
"""Per table, the time by the source's clock."""
ARRIVAL = ("arrival", "derived")
"""Qualities of a time that was taken from our receipt or computed."""
OWN_LISTENERS = ("session", "identity", "audit", "loss", "restart", "carry", "cases")
"""Records that the appliance wrote itself: their clock is its own."""
_DIGITS = 3


def receipt_section(content: PackageContent) -> Section:
    zone, rows = content.facts.zone, []
    seen = set()
    for record in content.records:
        if record.place in seen:
            continue
        seen.add(record.place)
        found = content.surroundings.leaf_intervals.get(f"{record.place.log}-{record.place.leaf}")
        interval = joined(moment_ns(found[0], zone), moment_ns(found[1], zone), by=" – ") if found else None
        sender = f"{format_endpoint(record.source_address, record.source_port)} {record.transport} {record.listener}"
        is_own = record.source_address == UNKNOWN_ADDRESS
        rows.append(
            [
                place_text(record),
                moment_ns(record.received_unix_ns, zone),
                joined(name("own_record"), same(record.listener)) if is_own else same(sender),
                interval or name("not_recorded"),
            ]
        )
    heads = [name(code) for code in ("record", "stated_received", "stated_sender", "proven_interval")]
    return Section(word("sections", "receipt"), [Paragraph(text("receipt")), Table(heads, rows)])


def source_differences(content: PackageContent) -> dict[str, list[int]]:
    """By source, receipt less the source's own time of the cited records, nanoseconds."""
    found: dict[str, list[int]] = {}
    for record in content.records:
        is_own = record.listener.partition("/")[0] in OWN_LISTENERS
        if record.role not in (TEMPLATE, CARRIED_TEMPLATE) and not is_own:
            for difference in _differences(record):
                found.setdefault(f"{format_address(record.source_address)} {record.listener}", []).append(difference)
    return found


def _differences(record: CitedRecord) -> Iterator[int]:
    for row in record.rows:
        moment = row.values.get(SOURCE_TIMES.get(row.table, ""))
        if not isinstance(moment, int) or row.values.get("quality") in ARRIVAL or row.values.get("event") == "carry":
            continue
        yield record.received_unix_ns - moment


def clock_section(content: PackageContent) -> Section:
    blocks: list[Block] = []
    statements = [
        [
            name("sealed_in", log=one["log"], leaf=one["leaf"]),
            moment_ns(int(sample["unix_ns"]), content.facts.zone),
            _state(sample),
        ]
        for one in content.clock
        for sample in one.get("samples", ())[-1:]
    ]
    if statements:
        heads = [name("record"), name("date"), name("own_clock")]
        blocks += [Paragraph(text("clock_own")), Table(heads, statements)]
    else:
        blocks.append(Paragraph(text("clock_none")))
    differences = source_differences(content)
    if differences:
        heads = [name("source"), name("difference")]
        rows = [[same(source), _span(values)] for source, values in sorted(differences.items())]
        blocks += [Paragraph(text("clock_sources")), Table(heads, rows)]
    else:
        blocks.append(Paragraph(text("clock_no_source")))
    zone = content.facts.zone
    steps = [
        (
            name("went_back"),
            joined(*(moment_ns(int(step[end]), zone) for end in ("from_unix_ns", "to_unix_ns")), by=" – "),
        )
        for step in (one.get("step") for one in content.clock)
        if step
    ]
    if steps:
        blocks.append(Facts(steps))
    return Section(word("sections", "clock"), blocks)


def _state(sample: dict) -> Pair:
    said = name("synchronised" if sample["synchronised"] else "not_synchronised")
    offset, dispersion = _seconds(sample["offset_ns"]), _seconds(sample["dispersion_ns"])
    source = given(sample["source"])
    more = (
        name("clock_offset", offset=offset[0], dispersion=dispersion[0], source=source[0])[0],
        name("clock_offset", offset=offset[1], dispersion=dispersion[1], source=source[1])[1],
    )
    return joined(said, more, by="; ")


def _seconds(value_ns: int | None) -> Pair:
    return name("not_recorded") if value_ns is None else name("seconds", value=f"{int(value_ns) / NS:.6f}")


def _span(values: list[int]) -> Pair:
    low, high = min(values) / NS, max(values) / NS
    low_text, high_text = f"{low:.{_DIGITS}f}", f"{high:.{_DIGITS}f}"
    return name("seconds", value=low_text if low_text == high_text else f"{low_text} – {high_text}")
