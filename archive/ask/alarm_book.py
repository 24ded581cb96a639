"""Which alarms stand. Raising and clearing one is a sealed record; `status` lists them."""

from dataclasses import dataclass
from typing import Any

from archive.alarms import ALARMS, Condition
from archive.clock import Clock
from archive.event_record import encode_event
from archive.index.engine import LOG_NUMBER, Engine
from archive.spool import SpoolWriter
from archive.time_text import format_iso

_PLACE = f"(time, {LOG_NUMBER}, leaf_index, row)"


@dataclass
class Alarm:
    """An alarm from `since_unix_ns` until it is cleared."""

    condition: Condition
    since_unix_ns: int


class AlarmBook:
    """Compares what is wrong now with what was, and writes the difference."""

    def __init__(self, writer: SpoolWriter, engine: Engine, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._standing = self._load(engine)

    def update(self, conditions: list[Condition]) -> None:
        """Raise what is new and clear what is over. Raises SpoolError; what was not written is tried again then."""
        now = self._clock.unix_ns()
        present = {(c.code, c.source): c for c in conditions}
        for key, condition in present.items():
            if key in self._standing:
                self._standing[key].condition = condition
                continue
            self._write("alarm_raised", condition, now, now)
            self._standing[key] = Alarm(condition, now)
        for key in [key for key in self._standing if key not in present]:
            alarm = self._standing[key]
            self._write("alarm_cleared", alarm.condition, alarm.since_unix_ns, now)
            del self._standing[key]

    def standing(self, zone: str) -> list[dict[str, Any]]:
        """The alarms of the `status` object of docs/CONTRACT.md, oldest first."""
        result = []
        for alarm in sorted(list(self._standing.values()), key=lambda a: a.since_unix_ns):
            kind = ALARMS[alarm.condition.code]
            result.append(
                {
                    "code": alarm.condition.code,
                    "source": alarm.condition.source,
                    "since": format_iso(alarm.since_unix_ns, zone),
                    "cleared": None,
                    "details": alarm.condition.details,
                    "message": kind.english,
                    "message_th": kind.thai,
                    "what_to_do": kind.do_english,
                    "what_to_do_th": kind.do_thai,
                }
            )
        return result

    def _write(self, event: str, condition: Condition, since_ns: int, now_ns: int) -> None:
        values = {
            "process": "ask",
            "alarm": condition.code,
            "source": condition.source,
            "details": condition.details,
            "since_unix_ns": str(since_ns),
            "cleared_unix_ns": str(now_ns) if event == "alarm_cleared" else None,
            "what_to_do": ALARMS[condition.code].do_english,
        }
        self._writer.append(encode_event(event, now_ns, values), listener="system")

    def _load(self, engine: Engine) -> dict[tuple[str, str], Alarm]:
        """Alarms that stood when the process last ended: raised, and not cleared since."""
        rows = engine.query(
            "SELECT JSONExtractString(details, 'alarm') AS alarm, JSONExtractString(details, 'source') AS source, "
            f"argMax(code, {_PLACE}) AS last, argMax(JSONExtractString(details, 'details'), {_PLACE}) AS text, "
            f"argMax(JSONExtractString(details, 'since_unix_ns'), {_PLACE}) AS since "
            "FROM {db}.events WHERE code IN ('alarm_raised', 'alarm_cleared') GROUP BY alarm, source"
        )
        return {
            (r["alarm"], r["source"]): Alarm(Condition(r["alarm"], r["source"], r["text"]), int(r["since"] or 0))
            for r in rows
            if r["last"] == "alarm_raised" and r["alarm"] in ALARMS
        }
