"""A query in words, so that the reader sees how it was understood. Pure.

The ask service reads the query; this repeats its way of cutting it only for display, and a test holds both together.
"""

import re
from dataclasses import dataclass

_TOKEN = re.compile(r'\s*(-)?(?:([A-Za-z_]+):)?("(?:[^"\\]|\\.)*"|[^\s"]+)')

FIELD_WORDS: dict[str, tuple[str, str]] = {
    "src": ("จาก", "from source"),
    "dst": ("ไปยัง", "to destination"),
    "ip": ("ที่อยู่", "address"),
    "sport": ("พอร์ตต้นทาง", "source port"),
    "dport": ("พอร์ตปลายทาง", "destination port"),
    "port": ("พอร์ต", "port"),
    "proto": ("โพรโทคอล", "protocol"),
    "user": ("บัญชี", "account"),
    "mac": ("อุปกรณ์", "device"),
    "host": ("ชื่อเครื่อง", "host name"),
    "app": ("โปรแกรม", "program"),
    "action": ("ผลการกรอง", "action"),
    "from": ("ส่งโดยอุปกรณ์", "reported by"),
    "table": ("ตาราง", "table"),
    "event": ("เหตุการณ์", "event"),
    "": ("มีคำว่า", "containing"),
}


@dataclass(frozen=True)
class Phrase:
    """One term: `word` in the reader's language, `value` as typed, `negated` for "not"."""

    word: str
    value: str
    negated: bool


def cut_query(text: str) -> list[tuple[str, str, bool]]:
    """(field, value, negated) of each term, as far as the text can be read."""
    terms: list[tuple[str, str, bool]] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if not match:
            break
        value = match[3]
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        terms.append(((match[2] or "").lower(), value, bool(match[1])))
        position = match.end()
    return terms


def read_as(text: str, language: str) -> list[Phrase]:
    """The query's terms in words, in order; all of them must hold."""
    column = 0 if language == "th" else 1
    return [
        Phrase(FIELD_WORDS[field][column] if field in FIELD_WORDS else field, value, negated)
        for field, value, negated in cut_query(text)
    ]


def fault_position(message: str) -> int | None:
    """The character a refusal points at, from 0; the service writes it as `at character N`, from 1."""
    match = re.search(r"at character (\d{1,5})\b", message)
    return int(match[1]) - 1 if match else None
