"""The case a package is made under: who asked, on what ground, who approved. Pure but for the law's texts as data."""

from typing import Any

from archive.cases.legal import LegalTexts, Statement, legal_texts
from archive.package.content import PackageContent
from archive.package.letter_blocks import Facts, Paragraph, Section
from archive.package.letter_words import Pair, given, joined, moment, name, same, text, word


def case_section(content: PackageContent) -> Section:
    case, facts, texts = content.facts.case, content.facts, legal_texts()
    if not case:
        rows = [(name("made_by"), same(facts.maker)), *_approval(case, facts.maker, facts.zone)]
        return Section(word("sections", "case"), [Paragraph(text("case_unknown")), Facts(rows)])
    rows = [
        (name("case"), same(case.get("id", ""))),
        (name("title"), given(case.get("title"))),
        (name("letter_number"), given(case.get("letter"))),
        (name("officer"), given(case.get("officer"))),
        (name("unit"), given(case.get("unit"))),
        (name("received"), moment(case.get("received"), facts.zone)),
        (name("ground"), _ground(case, texts)),
        *((name("legal_item", number=item["number"]), _item(item, texts)) for item in case.get("legal_items", ())),
    ]
    if case.get("court_order"):
        rows.append((name("court_order"), same(case["court_order"])))
    if case.get("override_reason"):
        rows.append((name("override"), same(case["override_reason"])))
    rows += [(name("made_by"), same(facts.maker)), *_approval(case, facts.maker, facts.zone)]
    return Section(word("sections", "case"), [Facts(rows), Paragraph(text("duty"))])


def approver_of(case: dict[str, Any]) -> str:
    """Who approved the case; empty where nobody is named."""
    return str(case.get("approved_by") or "")


def is_one_person(case: dict[str, Any]) -> bool:
    """A package without a case is the work of one person."""
    return bool(case.get("one_person", True))


def _approval(case: dict[str, Any], maker: str, zone: str) -> list[tuple[Pair, Pair]]:
    approver, mode = approver_of(case), "one_person_yes" if is_one_person(case) else "one_person_no"
    distinct = name("not_recorded") if not approver else name("yes" if approver != maker else "no")
    return [
        (name("approved_by"), given(approver)),
        (name("approved"), moment(case.get("approved"), zone)),
        (name("two_persons"), distinct),
        (name("one_person"), name(mode)),
    ]


def _ground(case: dict[str, Any], texts: LegalTexts) -> Pair:
    ground = case.get("ground") or {}
    known = texts.grounds.get(str(ground.get("code")))
    if known is None:
        return given(ground.get("th") and f"{ground['th']} / {ground['en']}")
    return _with_source(known, texts)


def _item(item: dict[str, Any], texts: LegalTexts) -> Pair:
    known = texts.items.get(int(item["number"]))
    return _with_source(known, texts) if known else (str(item.get("th", "")), str(item.get("en", "")))


def _with_source(statement: Statement, texts: LegalTexts) -> Pair:
    """What was not read in the law's text is never shown without saying so."""
    if statement.is_read:
        mark = name("source_read" if statement.mark == "T" else "source_secondary", source=statement.source)
    else:
        en, th = texts.not_read
        mark = (
            name("source_not_read", source=statement.source, note=th)[0],
            name("source_not_read", source=statement.source, note=en)[1],
        )
    return joined((statement.th, statement.en), mark, by="; ")
