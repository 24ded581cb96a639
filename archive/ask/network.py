"""Statements about exporters and uplinks, from the index."""

import json

from archive.attribution.network_facts import NetworkFacts
from archive.index.engine import LOG_NUMBER, Engine
from archive.network_settings import EVENTS

MAX_STATEMENTS = 20_000
"""The newest ones; each is a change of the settings that a person made."""


def read_network_facts(engine: Engine) -> NetworkFacts:
    """Every statement that is indexed. Raises IndexUnavailableError."""
    rows = engine.query(
        f"SELECT log, {LOG_NUMBER} AS log_number, leaf_index, row, "
        "toUnixTimestamp64Nano(time) AS time_unix_ns, event, details FROM {db}.identity "
        "WHERE account = '' AND event IN {events:Array(String)} "
        "ORDER BY identity.time DESC, log_number DESC, leaf_index DESC, row DESC LIMIT {limit:UInt32}",
        {"events": list(EVENTS), "limit": MAX_STATEMENTS},
    )
    for row in rows:
        row["details_object"] = json.loads(row["details"])
    return NetworkFacts(rows)
