"""Which records an answer cites and by which of its steps. Pure."""

from dataclasses import dataclass, field
from typing import Any

from archive.addresses import format_address, format_endpoint
from archive.package.content import IndexRow, Place
from archive.time_text import parse_time

STEP_TABLES = ("logs", "nat", "flows", "sessions", "identity")
LOSS_TABLE = "losses"
_NO_PORTS = ((0, 65_535), (0, 0))
_SESSION_COLUMNS = {"session": "session_id", "device": "station", "account": "account"}


@dataclass
class Citation:
    """A record that is cited. `groups`: the steps of each candidate that cite it."""

    place: Place
    groups: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    is_loss: bool = False

    @property
    def steps(self) -> list[dict[str, Any]]:
        return [step for group in self.groups.values() for step in group]


def citations(answer: dict[str, Any], numbers: dict[str, int]) -> list[Citation]:
    """Every record that a step or a loss cites, each once, in order. `numbers`: number of each log by its origin."""
    found: dict[Place, Citation] = {}

    def of(one: dict[str, Any]) -> Citation:
        place = Place(numbers[one["log"]], one["leaf_index"], one["row"])
        return found.setdefault(place, Citation(place))

    for number, candidate in enumerate(answer["candidates"]):
        for step in candidate["steps"]:
            if step["leaf_index"] is not None:
                of(step).groups.setdefault(number, []).append(step)
    for loss in answer["losses"]:
        of(loss).is_loss = True
    return [found[place] for place in sorted(found)]


def step_values(step: str, table: str, values: dict[str, Any]) -> list[str]:
    """What an index row says for a step of an answer."""
    if step == "public_address" and table == "nat":
        low, high = values["outside_port_low"], values["outside_port_high"]
        port = None if (low, high) in _NO_PORTS else "-".join(dict.fromkeys((str(low), str(high))))
        return [format_endpoint(values["outside_address"], port)]
    if step == "inside_address" and table == "nat":
        return [format_endpoint(values["inside_address"], values["inside_port"])]
    if step == "inside_address" and table == "sessions":
        return [format_address(values["address"])]
    if step in _SESSION_COLUMNS and table == "sessions":
        return [values[_SESSION_COLUMNS[step]]]
    if step == "person":
        return [values["person"]] if table == "identity" else [values["details"]] if table == "sessions" else []
    return []


def says(step: dict[str, Any], row: IndexRow) -> bool:
    """Whether a row says what a step says."""
    said = step_values(step["step"], row.table, row.values)
    if step["step"] == "person" and row.table == "sessions":
        return any(step["value"] in one for one in said)
    return step["value"] in said


def rows_of_steps(citation: Citation, rows: list[IndexRow]) -> list[IndexRow]:
    """Of the `nat` rows of a datagram those that the steps speak of: of one candidate all steps at once, within the
    time that they state."""
    chosen = []
    for row in rows:
        for steps in citation.groups.values():
            about = [step for step in steps if step["step"] in ("public_address", "inside_address")]
            if about and all(says(step, row) and _within(step, row) for step in about):
                chosen.append(row)
                break
    return chosen


def _within(step: dict[str, Any], row: IndexRow) -> bool:
    moment = row.values["time"]
    start, end = (parse_time(step[name], now_unix_ns=0) if step[name] else None for name in ("from", "to"))
    return (start is None or start <= moment) and (end is None or moment <= end)
