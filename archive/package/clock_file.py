"""data/clock.json: what is sealed of the appliance's clock near the cited records, and how the times that sources state
lie to our receipt. Pure."""

from typing import Any

from archive.package.content import PackageContent
from archive.package.letter_times import source_differences

CLOCK_FORMAT = 1


def clock_file(content: PackageContent) -> dict[str, Any]:
    """The object of docs/CONTRACT.md, "Package". Nanoseconds are decimal strings."""
    return {
        "format": CLOCK_FORMAT,
        "zone": content.facts.zone,
        "statements": content.clock,
        "leaf_intervals": [
            {"leaf": place, "first_unix_ns": str(first), "last_unix_ns": str(last)}
            for place, (first, last) in sorted(content.surroundings.leaf_intervals.items())
        ],
        "sources": [
            {
                "source": source,
                "times": len(values),
                "least_receipt_minus_source_ns": str(min(values)),
                "most_receipt_minus_source_ns": str(max(values)),
            }
            for source, values in sorted(source_differences(content).items())
        ],
    }
