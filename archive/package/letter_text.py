"""data/letter.txt: the letter as plain text, Thai first. Pure."""

from archive.package.letter_blocks import Block, Facts, Letter, Paragraph, Section, StepBlock, Table
from archive.package.letter_words import Pair, name

SLIP_SIDES = ("handed_by", "received_by")
SLIP_LINES = ("full_name", "position", "date", "signature")
_BLANK = "." * 40


def letter_text(letter: Letter) -> bytes:
    """UTF-8 with a newline at the end of every line."""
    lines = [*letter.title, "=" * 72, *(_fact(one) for one in letter.head)]
    for number, section in enumerate(letter.sections, 1):
        lines += _section(section, f"{number}. ")
    lines += _section(letter.hand_over, "")
    for side in SLIP_SIDES:
        lines += ["", f"[{_both(name(side))}]", *(f"{_both(name(code))}: {_BLANK}" for code in SLIP_LINES)]
    return ("\n".join(lines) + "\n").encode()


def _section(section: Section, number: str) -> list[str]:
    lines = ["", f"{number}{_both(section.title)}", "-" * 72]
    for block in section.blocks:
        lines += _block(block)
    return lines


def _block(block: Block) -> list[str]:
    if isinstance(block, Paragraph):
        return list(dict.fromkeys(map(one_line, block.text)))
    if isinstance(block, Facts):
        title = ["", f"[{_both(block.title)}]"] if block.title[0] else []
        return [*title, *(_fact(one) for one in block.rows)]
    if isinstance(block, StepBlock):
        return _step(block)
    return _table(block)


def _step(block: StepBlock) -> list[str]:
    lines = ["", f"  * {_both(block.step)}: {_both(block.value)} [{_both(block.certainty)}]"]
    lines += [f"      {one_line(one)}" for one in dict.fromkeys(block.why) if one]
    lines += [f"      {_fact(one)}" for one in block.facts]
    return lines + ([f"      $ {block.command}"] if block.command else [])


def _table(block: Table) -> list[str]:
    lines = []
    for row in block.rows:
        lines.append("")
        lines += [f"  {_both(head)}: {_both(cell)}" for head, cell in zip(block.heads, row, strict=True)]
    return lines


def _fact(fact: tuple[Pair, Pair]) -> str:
    return f"{_both(fact[0])}: {_both(fact[1])}"


def _both(pair: Pair) -> str:
    return " / ".join(dict.fromkeys(map(one_line, pair)))


def one_line(value: str) -> str:
    """Values come from records; none of them may begin a line of its own."""
    return " ".join(value.split())
