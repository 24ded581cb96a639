"""data/completeness.json: what is known to be missing in the interval, and what is not in the package. Pure."""

import json
from typing import Any

from archive.package.content import PackageContent

COMPLETENESS_FORMAT = 1
SAMPLING_ELEMENTS = (
    "samplingInterval", "samplingPacketInterval", "samplingProbability", "samplerRandomInterval", "sampling_rate",
)  # fmt: skip
"""Elements of `extra` of a flow row that say that the exporter sampled (IANA names, and sFlow's)."""


def completeness(content: PackageContent) -> dict[str, Any]:
    """The object of docs/CONTRACT.md, "Package"."""
    around = content.surroundings
    return {
        "format": COMPLETENESS_FORMAT,
        "from": content.answer["asked"]["from"],
        "until": content.answer["asked"]["until"],
        "indexed_until": content.answer.get("indexed_until"),
        "gaps": content.losses,
        "outages": around.outages,
        "silent_sources": around.silent_sources,
        "purged_days": around.purged_days,
        "days_without_index": around.days_without_index,
        "sampling": sampling_rates(content),
        "withheld": dict(content.withheld),
        "records": content.counts(),
        "stated_only": [record.place.name() for record in content.records if not record.units],
    }


def sampling_rates(content: PackageContent) -> list[str]:
    """What cited flow rows say of sampling, `element=value`, each once."""
    found = set()
    for record in content.records:
        for row in record.rows:
            if row.table != "flows":
                continue
            try:
                extra = json.loads(row.values.get("extra") or "{}")
            except ValueError:
                continue
            if isinstance(extra, dict):
                found |= {f"{name}={extra[name]}" for name in SAMPLING_ELEMENTS if name in extra}
    return sorted(found)
