"""What a letter is made of. Pure data; a text is a pair (Thai, English)."""

from dataclasses import dataclass

from archive.package.letter_words import Pair


@dataclass(frozen=True)
class Paragraph:
    text: Pair


@dataclass(frozen=True)
class Facts:
    """Labels and values. `title` stands above them where there is one."""

    rows: list[tuple[Pair, Pair]]
    title: Pair = ("", "")


@dataclass(frozen=True)
class Table:
    """`heads` and as many cells in each row."""

    heads: list[Pair]
    rows: list[list[Pair]]


@dataclass(frozen=True)
class StepBlock:
    """One link of the chain: its name, what was found, its certainty and reason, and lines about the record behind it;
    `command` is printed as typed."""

    step: Pair
    value: Pair
    certainty: Pair
    is_exact: bool
    why: Pair
    facts: list[tuple[Pair, Pair]]
    command: str


Block = Paragraph | Facts | Table | StepBlock


@dataclass(frozen=True)
class Section:
    title: Pair
    blocks: list[Block]


@dataclass(frozen=True)
class Letter:
    """`head` is printed above the numbered sections, `hand_over` on a slip of its own at the end."""

    title: Pair
    identifier: str
    head: list[tuple[Pair, Pair]]
    sections: list[Section]
    hand_over: Section
