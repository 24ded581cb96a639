"""Search over every table: terms to SQL per table, merged newest first, shaped for pages and the command line."""

from typing import Any

from archive.addresses import format_address, format_endpoint
from archive.ask.network import read_network_facts
from archive.ask.traffic import flow_traffic, translation_route
from archive.attribution.network_facts import NetworkFacts
from archive.index.engine import LOG_NUMBER, Engine
from archive.query.parse import Term
from archive.query.sql import SEARCHED_TABLES, where_clause
from archive.schema import SCHEMAS
from archive.time_text import format_iso

SEARCH_FORMAT = 1
DEFAULT_LIMIT = 50
MAX_LIMIT = 10_000
"""Rows of one answer; more are exported by a case."""

_ADDRESS_SUFFIX = "address"
_HIDDEN = {
    "log", "leaf_index", "row", "received_unix_ns", "order_unix_ns", "start_unix_ns", "end_unix_ns", "time_unix_ns",
}  # fmt: skip
ROUTED_TABLES = ("flows", "nat")
"""Whose rows went by an exporter and an uplink, which settings name."""


def search(engine: Engine, terms: list[Term], since_ns: int, until_ns: int, limit: int, zone: str) -> dict[str, Any]:
    """Rows received in [since, until], newest first, at most `limit`. Raises QueryError."""
    found: list[dict[str, Any]] = []
    facts: NetworkFacts | None = None
    for table in SEARCHED_TABLES:
        clause = where_clause(terms, table)
        if clause is None:
            continue
        condition, parameters = clause
        parameters |= {"since": since_ns, "until": until_ns, "limit": limit + 1}
        chosen = (
            f"{{db}}.{table} WHERE received >= fromUnixTimestamp64Nano({{since:Int64}}, 'UTC') "
            f"AND received <= fromUnixTimestamp64Nano({{until:Int64}}, 'UTC') AND ({condition})"
        )
        if table == "sessions":
            # Retransmissions of one packet are one event: the first one received stands for them.
            chosen = (
                f"(SELECT * FROM {chosen} ORDER BY received, {LOG_NUMBER}, leaf_index, row LIMIT 1 BY if("
                "dedup_key = '', concat(toString(leaf_index), '/', toString(row), '/', log), dedup_key))"
            )
        rows = engine.query(
            f"SELECT *, {moments(table)} FROM {chosen} "
            f"ORDER BY received DESC, {LOG_NUMBER} DESC, leaf_index DESC, row DESC LIMIT {{limit:UInt32}}",
            parameters,
        )
        if facts is None and rows and table in ROUTED_TABLES:
            facts = read_network_facts(engine)
        found += [shape_row(table, row, zone, facts) for row in rows]
    found.sort(
        key=lambda r: (r["received_unix_ns"], engine.log_number(r["log"]), r["leaf_index"], r["row"]), reverse=True
    )
    return {
        "format": SEARCH_FORMAT,
        "since": format_iso(since_ns, zone),
        "until": format_iso(until_ns, zone),
        "more": len(found) > limit,
        "rows": found[:limit],
    }


def moments(table: str) -> str:
    """Columns of SQL: the moments of a row as whole nanoseconds, beside the columns that hold them."""
    names = [*(("start", "end", "time") if table in ROUTED_TABLES else ()), "received"]
    columns = [name for name in names if name in SCHEMAS[table].names]
    return ", ".join(f"toUnixTimestamp64Nano(`{name}`) AS {name}_unix_ns" for name in columns)


def shape_row(table: str, row: dict[str, Any], zone: str, facts: NetworkFacts | None = None) -> dict[str, Any]:
    """A row of an answer. With `facts`, one of `flows` has `traffic` and one of `nat` has `route`."""
    fields = {k: _plain(k, v) for k, v in row.items() if k not in _HIDDEN}
    shaped: dict[str, Any] = {
        "table": table,
        "time": format_iso(row["received_unix_ns"], zone),
        "received_unix_ns": row["received_unix_ns"],
        "log": row["log"],
        "leaf_index": row["leaf_index"],
        "row": row["row"],
        "summary": _summary(table, row),
        "fields": fields,
    }
    if facts is not None and table == "flows":
        shaped["traffic"] = flow_traffic(row, facts, zone)
    if facts is not None and table == "nat":
        at = facts.at(row["time_unix_ns"])
        shaped["route"] = translation_route(row["sender_address"], row["outside_address"], at)
    return shaped


def _plain(name: str, value: Any) -> Any:
    if (isinstance(value, bytes) and name.endswith(_ADDRESS_SUFFIX)) or (
        name == "next_hop" and isinstance(value, bytes)
    ):
        return format_address(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value.isoformat() if hasattr(value, "isoformat") else value


def _summary(table: str, row: dict[str, Any]) -> dict[str, str]:
    """The columns of a result table: source, destination, what."""

    def endpoint(name: str, port: str | None = None) -> str:
        address = row.get(name)
        return format_endpoint(address, row.get(port) if port else None) if address else ""

    if table == "nat":
        return {
            "source": endpoint("inside_address", "inside_port"),
            "destination": endpoint("destination_address", "destination_port"),
            "what": f"{row['event']} {endpoint('outside_address', 'outside_port_low')} proto {row['protocol']}",
            "sender": endpoint("sender_address"),
        }
    if table == "sessions":
        what = " ".join(x for x in (row["kind"], row["event"], row["account"], row["ended_why"], row["station"]) if x)
        return {"source": endpoint("address"), "destination": "", "what": what, "sender": endpoint("nas_address")}
    if table == "flows":
        what = f"proto {row['protocol']} {row['bytes']} bytes {row['packets']} packets"
        return {
            "source": endpoint("source_address", "source_port"),
            "destination": endpoint("destination_address", "destination_port"),
            "what": what,
            "sender": endpoint("exporter_address"),
        }
    if table == "logs":
        what = f"{row['hostname']} {row['app_name']}: {row['message']}".strip()
        return {
            "source": endpoint("source_address", "source_port"),
            "destination": endpoint("destination_address", "destination_port"),
            "what": what,
            "sender": endpoint("sender_address"),
        }
    what = " ".join(
        str(row.get(k, "")) for k in ("event", "code", "how", "account", "person", "listener", "process", "details")
    )
    return {"source": "", "destination": "", "what": " ".join(what.split()), "sender": ""}
