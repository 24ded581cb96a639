"""Which copies are too old. Pure."""

from typing import Any

from archive.alarms import COPY_LAG_SECONDS, Condition

NS = 1_000_000_000


def copy_conditions(report: dict[str, Any], started_unix_ns: int, now_ns: int) -> list[Condition]:
    """From the run report of the anchor process. A copy that never succeeded counts from `started_unix_ns`."""
    found = []
    copies = report.get("copies")
    for copy in copies if isinstance(copies, list) else ():
        if not isinstance(copy, dict):
            continue
        last = str(copy.get("last_success_unix_ns") or "")
        seconds = (now_ns - (int(last) if last.isdecimal() else started_unix_ns)) / NS
        interval = copy.get("interval_seconds")
        limit = max(COPY_LAG_SECONDS, 3 * interval if isinstance(interval, int) else 0)
        if seconds > limit:
            problem = str(copy.get("problem") or "no pass has ended")
            leaves = copy.get("behind_leaves")
            details = f"{seconds / 3600:.0f} h, {leaves} leaves behind; {problem}"
            found.append(Condition("copy_stale", str(copy.get("name", "")), details))
    return found
