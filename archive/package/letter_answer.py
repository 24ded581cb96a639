"""The question, the answer, and every candidate with each of its steps. Pure."""

from typing import Any

from archive.package.content import CitedRecord, PackageContent
from archive.package.letter_blocks import Block, Facts, Paragraph, Section, StepBlock
from archive.package.letter_words import Pair, given, joined, moment, name, same, text, why, word
from archive.package.names import raw_name
from archive.package.records_csv import show_command

Cited = dict[tuple[str, int, int], CitedRecord]


def cited_records(content: PackageContent) -> Cited:
    """The records by origin, leaf and row; one that is cited before one that only supports it."""
    found: Cited = {}
    for record in content.records:
        found.setdefault((record.origin, record.place.leaf, record.place.row), record)
    return found


def question_section(content: PackageContent) -> Section:
    asked, zone = content.answer["asked"], content.facts.zone
    typed = [(name(code), given(asked[code], "not_asked")) for code in ("address", "port", "protocol", "to", "realm")]
    typed.insert(4, (name("at"), moment(asked["at"], zone)))
    uplink = content.answer.get("uplink")
    read = [
        (name("window"), joined(moment(asked["from"], zone), moment(asked["until"], zone), by=" – ")),
        (name("tolerance"), name("seconds", value=asked["tolerance_seconds"])),
        (name("uplink"), same(f"{uplink['name']} ({uplink['kind']})") if uplink else name("none")),
        (name("indexed_until"), moment(content.answer.get("indexed_until"), zone)),
    ]
    return Section(
        word("sections", "question"),
        [
            Facts(typed, name("asked_as")),
            Facts(read, name("read_as")),
            Paragraph(text("question_read", zone=zone)),
        ],
    )


def answer_section(content: PackageContent) -> Section:
    answer = content.answer
    facts = [
        (name("certainty"), word("certainty", answer["certainty"])),
        (name("candidates"), same(len(answer["candidates"]))),
    ]
    if answer["why"]:
        facts.append((name("why"), why(answer["why"])))
    sentence = Paragraph((answer["sentence"]["th"], answer["sentence"]["en"]))
    return Section(word("sections", "answer"), [sentence, Facts(facts), Paragraph(text("answer_weakest"))])


def steps_section(content: PackageContent) -> Section:
    candidates, cited = content.answer["candidates"], cited_records(content)
    blocks: list[Block] = [Paragraph(text("steps_all" if candidates else "no_candidates"))]
    for number, candidate in enumerate(candidates, 1):
        title = name("candidate", number=number, count=len(candidates))
        facts = [
            (name("person"), given(candidate["person"])),
            (name("account"), given(candidate["account"])),
            (name("device"), given(candidate["device"])),
            (name("certainty"), word("certainty", candidate["certainty"])),
        ]
        blocks.append(Facts(facts, title))
        blocks += [_step(content, step, cited) for step in candidate["steps"]]
    return Section(word("sections", "steps"), blocks)


def place_text(record: CitedRecord) -> Pair:
    return name("place", log=record.place.log, leaf=record.place.leaf, row=record.place.row)


def _step(content: PackageContent, step: dict[str, Any], cited: Cited) -> StepBlock:
    zone = content.facts.zone
    facts, command = [], ""
    if step["from"] or step["to"]:
        facts.append((name("interval"), joined(moment(step["from"], zone), moment(step["to"], zone), by=" – ")))
    record = None
    if step["leaf_index"] is not None:
        record = cited.get((step["log"], step["leaf_index"], step["row"]))
    if record is None:
        facts.append((name("record"), name("no_record")))
    else:
        file = raw_name(record)
        facts.append((name("record"), joined(place_text(record), same(file) if file else name("withheld_bytes"))))
        command = show_command(record)
    return StepBlock(
        word("step", step["step"]),
        given(step["value"]),
        word("certainty", step["certainty"]),
        step["certainty"] == "exact",
        why(step["why"]) if step["why"] else ("", ""),
        facts,
        command,
    )
