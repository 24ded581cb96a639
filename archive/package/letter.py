"""The letter of a package as a structure of sections in Thai and English, from its content alone: data/letter.txt and
data/letter.pdf are two prints of it. Pure."""

from archive.package.content import PackageContent
from archive.package.letter_answer import answer_section, question_section, steps_section
from archive.package.letter_blocks import Facts, Letter, Paragraph, Section
from archive.package.letter_case import case_section
from archive.package.letter_holder import identified_section
from archive.package.letter_proof import (
    certificate_section,
    completeness_section,
    limits_section,
    made_section,
    outside_section,
    withheld_section,
)
from archive.package.letter_times import clock_section, receipt_section
from archive.package.letter_words import Pair, given, moment, name, same, text, word

__all__ = ["make_letter"]


def make_letter(content: PackageContent, *, notes: tuple[Pair, ...] = ()) -> Letter:
    """`notes` are sentences about the making beside those of the content, (Thai, English)."""
    facts = content.facts
    head = [
        (name("site"), same(facts.site_name)),
        (name("package"), same(facts.identifier)),
        (name("title"), given(facts.title)),
        (name("reason"), given(facts.reason)),
        (name("made_at"), moment(facts.made_at, facts.zone)),
    ]
    sections = [
        question_section(content),
        answer_section(content),
        case_section(content),
        steps_section(content),
        identified_section(content),
        receipt_section(content),
        clock_section(content),
        completeness_section(content),
        limits_section(),
        outside_section(content),
        certificate_section(content),
        withheld_section(content),
        made_section(content, notes),
    ]
    hand_over = Section(
        word("sections", "hand_over"),
        [Paragraph(text("hand_over", identifier=facts.identifier)), Facts([(text("file_digest"), same(""))])],
    )
    return Letter(name("letter"), facts.identifier, head, sections, hand_over)
