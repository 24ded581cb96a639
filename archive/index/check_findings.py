"""What a comparison of the index with the journal found, counted and said. Pure."""

from dataclasses import dataclass, field
from typing import Any

MAX_PLACES = 100
"""Places named in a result, which becomes a record; all are counted."""
SAID = {
    "leaf_missing": ("Leaf {leaf_index} is not in the index.", "ดัชนีค้นหาไม่มีใบที่ {leaf_index}"),
    "leaf_twice": ("Leaf {leaf_index} is in the index twice.", "ดัชนีค้นหามีใบที่ {leaf_index} ซ้ำ"),
    "leaf_differs": (
        "Of leaf {leaf_index} the index says {names} other than the journal does.",
        "ข้อมูลของใบที่ {leaf_index} ในดัชนีค้นหา ({names}) ไม่ตรงกับที่ผนึกไว้",
    ),
    "rows_missing": (
        "Table {table} of the index lacks {rows} of leaf {leaf_index}.",
        "ตาราง {table} ของดัชนีค้นหาขาด {count} แถวของใบที่ {leaf_index}",
    ),
    "rows_extra": (
        "Table {table} of the index has {rows} too many of leaf {leaf_index}.",
        "ตาราง {table} ของดัชนีค้นหามีแถวของใบที่ {leaf_index} เกินมา {count} แถว",
    ),
    "rows_differ": (
        "Table {table} of the index has {rows} of leaf {leaf_index} other than sealed.",
        "ตาราง {table} ของดัชนีค้นหามี {count} แถวของใบที่ {leaf_index} ไม่ตรงกับที่ผนึกไว้",
    ),
    "held_rows_missing": (
        "Table {table} of the index lacks {rows} that holds keep of {day}, which leaf {leaf_index} purged.",
        "ตาราง {table} ของดัชนีค้นหาขาด {count} แถวที่มีคำสั่งให้เก็บไว้ของวันที่ {day} ซึ่งใบที่ {leaf_index} ลบแล้ว",
    ),
    "held_rows_extra": (
        "Table {table} of the index has {rows} of {day}, which leaf {leaf_index} purged.",
        "ตาราง {table} ของดัชนีค้นหายังมี {count} แถวของวันที่ {day} ซึ่งใบที่ {leaf_index} ลบแล้ว",
    ),
    "query_differs": (
        "A search of table {table} by a value of leaf {leaf_index} finds {rows} with the engine's indexes and "
        "{without} without.",
        "การค้นหาตาราง {table} ด้วยค่าจากใบที่ {leaf_index} พบ {count} แถวเมื่อใช้ดัชนีของฐานข้อมูล แต่พบ {without} แถวเมื่อไม่ใช้",
    ),
    "row_not_found": (
        "A search of table {table} does not find a row of leaf {leaf_index} by the row's own value.",
        "การค้นหาตาราง {table} ไม่พบแถวของใบที่ {leaf_index} ด้วยค่าของแถวนั้นเอง",
    ),
}
"""Sentence in English and in Thai of each `what` of a place; `rows` is `count` with its noun."""
OTHER_DECODER = (
    "{leaves} decoded by an earlier version; `phayan reindex` decodes them again.",
    "มี {count} ใบที่ถอดข้อมูลด้วยโปรแกรมรุ่นก่อน คำสั่ง `phayan reindex` จะถอดข้อมูลใหม่ให้",
)
"""No defect: what decodes otherwise than it did differs from its rows rightly."""


@dataclass
class Findings:
    """Counts what was compared and what was not. A place is named once, whoever found it."""

    leaves: int = 0
    rows: int = 0
    sampled_leaves: int = 0
    sampled_rows: int = 0
    sampled_queries: int = 0
    missing: set[int] = field(default_factory=set)
    missing_days: int = 0
    uncompared: int = 0
    other_decoder: int = 0
    problems: list[str] = field(default_factory=list)
    _places: dict[tuple[str, int, str], dict[str, Any]] = field(default_factory=dict)

    def add(self, what: str, table: str, leaf_index: int, **values: Any) -> None:
        """A defect: `what` is one of SAID, `values` fill its sentence."""
        self._places.setdefault((table, leaf_index, what), values)

    @property
    def defects(self) -> int:
        return len(self._places)

    def messages(self, language: int) -> list[str]:
        """Sentences of the first places in English (0) or Thai (1)."""
        return [
            SAID[what][language].format(table=table, leaf_index=leaf_index, rows=_rows(values), **values)
            for (table, leaf_index, what), values in list(self._places.items())[:MAX_PLACES]
        ]

    def notes(self, language: int) -> list[str]:
        """Sentences about what is no defect."""
        count = self.other_decoder
        leaves = "1 leaf was" if count == 1 else f"{count} leaves were"
        return [OTHER_DECODER[language].format(leaves=leaves, count=count)] if count else []

    def values(self) -> dict[str, Any]:
        """As JSON (docs/CONTRACT.md, "Verify")."""
        places = list(self._places)[:MAX_PLACES]
        return {
            "leaves": self.leaves,
            "rows": self.rows,
            "sampled_leaves": self.sampled_leaves,
            "sampled_rows": self.sampled_rows,
            "sampled_queries": self.sampled_queries,
            "missing_segments": self.missing_days + len(self.missing),
            "uncompared_leaves": self.uncompared,
            "other_decoder_leaves": self.other_decoder,
            "notes": self.notes(0),
            "notes_th": self.notes(1),
            "defects": self.defects,
            "messages": self.messages(0),
            "messages_th": self.messages(1),
            "places": [{"table": table, "leaf_index": index, "what": what} for table, index, what in places],
        }


def _rows(values: dict[str, Any]) -> str:
    count = values.get("count", 0)
    return "1 row" if count == 1 else f"{count} rows"
