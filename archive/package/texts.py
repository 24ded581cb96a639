"""The texts of a package that are made from its content. Pure."""

import json
from typing import Any

from archive.package.answer_files import answer_csv, answer_json, answer_text, dictionary_csv
from archive.package.content import CitedRecord, PackageContent
from archive.package.verify_package import ANSWER_CSV, ANSWER_JSON, COMPLETENESS, DECODING


def text_files(content: PackageContent) -> dict[str, bytes]:
    """Name -> bytes."""
    return {
        ANSWER_JSON: answer_json(content.answer),
        ANSWER_CSV: answer_csv(content),
        "data/dictionary.csv": dictionary_csv(),
        "data/answer.txt": answer_text(content),
        "data/case.json": _json(content.facts.case),
        "data/clock.json": _json({"statements": content.clock}),
        COMPLETENESS: _json(completeness(content)),
        DECODING: _json({"zones": content.zones, "versions": content.versions}),
    }


def completeness(content: PackageContent) -> dict[str, Any]:
    """Gaps in the interval, what was withheld, what is only stated."""
    return {
        "gaps": content.losses,
        "withheld": content.withheld,
        "records": content.counts(),
        "stated_only": [_place(record) for record in content.records if not record.units],
    }


def _place(record: CitedRecord) -> str:
    return record.place.name()


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()
