"""What the collector says of its listeners, and what sealed records say was lost at them."""

from typing import Any

from archive.alarms import Condition
from archive.index.engine import Engine

NS = 1_000_000_000
RECENT_HOURS = 24
_SUMS = (
    "SELECT listener, how, count() AS losses, sum(l.count) AS count, countIf(received >= {moment}) AS losses_24h, "
    "sumIf(l.count, received >= {moment}) AS count_24h FROM {db}.losses AS l GROUP BY listener, how "
    "ORDER BY listener, how"
).replace("{moment}", "fromUnixTimestamp64Nano({since:Int64}, 'UTC')")


def read_listeners(collector: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Counters of each listener since the collector's start, from the report in `run/collector.json`."""
    listeners = collector.get("listeners")
    if not isinstance(listeners, dict):
        return {}
    return {
        name: {**values, "warnings": read_warnings(values)}
        for name, values in sorted(listeners.items())
        if isinstance(values, dict)
    }


def read_warnings(report: dict[str, Any]) -> list[str]:
    """The sentences under `warnings` of the collector's report, or of one listener in it."""
    warnings = report.get("warnings")
    return [str(text) for text in warnings] if isinstance(warnings, list) else []


def sum_losses(engine: Engine, now_ns: int) -> list[dict[str, Any]]:
    """Sealed losses by listener and `how`: of all that is kept, and of those received in the last RECENT_HOURS.

    `losses` are intervals, `count` what was lost in them as far as it is known, None where it is not known of any.
    """
    rows = engine.query(_SUMS, {"since": now_ns - RECENT_HOURS * 3600 * NS})
    return [
        {name: row[name] for name in ("listener", "how", "losses", "count", "losses_24h", "count_24h")} for row in rows
    ]


def warning_conditions(collector: dict[str, Any]) -> list[Condition]:
    """An alarm for each warning of a listener, and one for what is said of no single listener."""
    listeners = read_listeners(collector)
    found = [
        Condition("receiver_warning", name, " ".join(values["warnings"]))
        for name, values in listeners.items()
        if values["warnings"]
    ]
    of_listeners = {text for values in listeners.values() for text in values["warnings"]}
    others = [text for text in read_warnings(collector) if text not in of_listeners]
    if others:
        found.append(Condition("receiver_warning", "collector", " ".join(others)))
    return found
