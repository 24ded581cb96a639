"""What the settings say of exporters and uplinks, stated as identity events so that names can be told as of any time.
Pure.

One event per exporter and per uplink, when it is stated first, changed or withdrawn. `details` holds one of
`{"exporter": network, "name", "interfaces": [{"number", "name", "uplink"}]}` and
`{"uplink": name, "kind", "zone", "networks": [{"network", "from", "until"}]}`; days are ISO dates of the zone or null,
both of them included.
"""

import json
from typing import Any

from archive.event_record import encode_event

STATED = "network_stated"
WITHDRAWN = "network_withdrawn"
EVENTS = (STATED, WITHDRAWN)
KINDS = ("public", "carrier_nat", "private")
"""Of an uplink: its addresses are ours on the internet, its carrier translates ours to its own, or it leads into a
network that is not the internet."""
ACTOR = "settings"

Facts = dict[str, dict[str, Any]]
"""Key of a fact to its details."""


def fact_key(details: dict[str, Any]) -> str:
    """What a fact is about; a later fact of the same key takes its place. Raises KeyError."""
    return f"exporter {details['exporter']}" if "exporter" in details else f"uplink {details['uplink']}"


def exporter_fact(network: str, name: str, interfaces: list[dict[str, Any]]) -> dict[str, Any]:
    """Details of an exporter; `interfaces` as in the module's text."""
    return {"exporter": network, "name": name, "interfaces": interfaces}


def uplink_fact(name: str, kind: str, zone: str, networks: list[dict[str, Any]]) -> dict[str, Any]:
    """Details of an uplink; `networks` as in the module's text."""
    return {"uplink": name, "kind": kind, "zone": zone, "networks": networks}


def changed_facts(before: Facts, facts: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """(event, details) that lead from what was last stated to `facts`, in a fixed order."""
    after = {fact_key(details): details for details in facts}
    changes = [(WITHDRAWN, details) for key, details in sorted(before.items()) if key not in after]
    return changes + [(STATED, details) for key, details in sorted(after.items()) if before.get(key) != details]


def encode_fact(event: str, details: dict[str, Any], time_unix_ns: int) -> bytes:
    """The identity event of one fact."""
    values = {"account": "", "person": "", "actor": ACTOR, "details": details}
    return encode_event(event, time_unix_ns, values)


def encode_facts(facts: list[dict[str, Any]]) -> bytes:
    """The working copy of what was stated."""
    return json.dumps({fact_key(details): details for details in facts}, ensure_ascii=False, sort_keys=True).encode()


def decode_facts(data: bytes) -> Facts:
    """A working copy. Raises ValueError."""
    value = json.loads(data)
    if not isinstance(value, dict) or not all(isinstance(details, dict) for details in value.values()):
        raise ValueError("not a copy of stated settings")
    return value
