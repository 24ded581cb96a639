"""Completeness, limits, outside time, certificate, what was withheld, and who made the package. Pure."""

from typing import Any

from archive.package.completeness import sampling_rates
from archive.package.content import LogFacts, OutsideTime, PackageContent
from archive.package.letter_blocks import Block, Facts, Paragraph, Section
from archive.package.letter_words import Pair, joined, moment, moment_ns, name, same, text, word


def completeness_section(content: PackageContent) -> Section:
    around, zone = content.surroundings, content.facts.zone
    rows: list[tuple[Pair, Pair]] = []
    rows += [(name("losses"), _loss(one, zone)) for one in content.losses] or [(name("losses"), name("none"))]
    rows += [(name("outages"), _interval(one, zone)) for one in around.outages] or [(name("outages"), name("none"))]
    rows += [
        (name("silent"), joined(same(one["source"]), same(one["listener"]), _interval(one, zone), by=" "))
        for one in around.silent_sources
    ] or [(name("silent"), name("none"))]
    rates = sampling_rates(content)
    rows.append((name("sampling"), text("sampling_some", rates=", ".join(rates)) if rates else text("sampling_none")))
    for code, days in (
        ("purged_days", [one["day"] for one in around.purged_days]),
        ("days_without_index", around.days_without_index),
    ):
        rows.append((name(code), same(", ".join(days)) if days else name("none")))
    return Section(word("sections", "complete"), [Facts(rows), Paragraph(text("completeness"))])


def _loss(one: dict[str, Any], zone: str) -> Pair:
    count = joined(name("count"), same(one["count"]), by=" ") if one["count"] is not None else name("count_unknown")
    return joined(word("loss", one["how"]), same(one["listener"]), count, _interval(one, zone))


def _interval(one: dict[str, Any], zone: str) -> Pair:
    return joined(moment(one["from"], zone), moment(one["until"], zone), by=" – ")


def limits_section() -> Section:
    return Section(word("sections", "limits"), [Paragraph(text("limits")), Paragraph(text("absence"))])


def outside_section(content: PackageContent) -> Section:
    before, after, zone = content.outside_before, content.outside_after, content.facts.zone
    if not before and not after:
        return Section(word("sections", "outside"), [Paragraph(text("no_anchor"))])
    rows = [(name("before"), _outside(one, zone)) for one in before] or [(name("before"), name("none"))]
    rows += [(name("after"), _outside(one, zone)) for one in after] or [(name("after"), name("none"))]
    cited = {record.place.log for record in content.records}
    has_before, has_after = (cited <= {one.log for one in times} for times in (before, after))
    said = "no_anchor_after" if not has_after else "two_sided" if has_before else "one_sided"
    return Section(word("sections", "outside"), [Facts(rows), Paragraph(text(said))])


def _outside(one: OutsideTime, zone: str) -> Pair:
    where = (
        name("covers", size=one.size, log=one.log)
        if one.leaf is None
        else name("sealed_in", leaf=one.leaf, log=one.log)
    )
    return joined(moment_ns(one.unix_ns, zone), joined(name(f"by_{one.by}"), same(one.name), by=" "), where)


def certificate_section(content: PackageContent) -> Section:
    blocks: list[Block] = [
        Paragraph(text("certificate", site=content.facts.site_name)),
        Facts([(name("certificate"), same(content.certificate_sha256))]),
        Paragraph(text("signature")),
        Facts([(name("log", number=one.number), _log(one)) for one in content.logs]),
    ]
    return Section(word("sections", "certificate"), blocks)


def _log(one: LogFacts) -> Pair:
    witnesses = same(", ".join(one.cosigned_by)) if one.cosigned_by else name("none")
    said = (
        name("log_facts", origin=one.origin, size=one.size, witnesses=witnesses[0])[0],
        name("log_facts", origin=one.origin, size=one.size, witnesses=witnesses[1])[1],
    )
    return joined(said, name("log_ended", why=one.ended_why) if one.ended_why else ("", ""), by="; ")


def withheld_section(content: PackageContent) -> Section:
    rows = [(word("withheld", code), same(count)) for code, count in sorted(content.withheld.items())]
    return Section(word("sections", "withheld"), [Paragraph(text("withheld")), *([Facts(rows)] if rows else [])])


def made_section(content: PackageContent, notes: tuple[Pair, ...]) -> Section:
    facts, counts = content.facts, content.counts()
    held = [word("counts", code) for code in ("records", "rows", "units")]
    told = joined(
        *(
            joined(same(counts[code]), pair, by=" ")
            for code, pair in zip(("records", "rows", "units"), held, strict=True)
        )
    )
    rows = [
        (name("made_by"), same(facts.maker)),
        (name("made_at"), moment(facts.made_at, facts.zone)),
        *((name("version"), same(f"{code}: {value}")) for code, value in sorted(content.versions.items())),
        (name("records_in"), told),
    ]
    said = [*((thai, english) for english, thai in content.notes), *notes]
    return Section(word("sections", "made"), [Facts(rows), *(Paragraph(one) for one in said)])
