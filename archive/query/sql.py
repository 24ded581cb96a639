"""Terms to SQL over one table, with bound parameters only. Pure.

A term whose field a table does not have excludes that table (or, negated, lets all its rows pass).
"""

import ipaddress
from typing import Any

from archive.addresses import parse_port
from archive.errors import ArchiveFormatError
from archive.query.parse import QueryError, Term

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "icmpv6": 58, "sctp": 132}

COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "flows": {
        "src": ("source_address",),
        "dst": ("destination_address",),
        "ip": ("source_address", "destination_address", "postnat_source_address"),
        "sport": ("source_port",),
        "dport": ("destination_port",),
        "port": ("source_port", "destination_port", "postnat_source_port"),
        "proto": ("protocol",),
        "from": ("exporter_address",),
        "text": ("extra",),
    },
    "logs": {
        "src": ("source_address",),
        "dst": ("destination_address",),
        "ip": ("source_address", "destination_address", "sender_address"),
        "sport": ("source_port",),
        "dport": ("destination_port",),
        "port": ("source_port", "destination_port"),
        "proto": ("protocol",),
        "user": ("user",),
        "host": ("hostname",),
        "app": ("app_name",),
        "action": ("action",),
        "from": ("sender_address",),
        "text": ("message", "hostname", "app_name"),
    },
    "nat": {
        "src": ("inside_address",),
        "dst": ("destination_address",),
        "ip": ("inside_address", "outside_address", "destination_address"),
        "sport": ("inside_port",),
        "dport": ("destination_port",),
        "port": ("inside_port", "outside_port_low", "destination_port"),
        "proto": ("protocol",),
        "from": ("sender_address",),
        "event": ("event",),
    },
    "sessions": {
        "src": ("address",),
        "ip": ("address",),
        "user": ("account",),
        "mac": ("station",),
        "from": ("nas_address",),
        "event": ("event",),
        "text": ("account", "session_id", "nas_identifier", "station", "details"),
    },
    "identity": {"user": ("account",), "event": ("event",), "text": ("account", "person", "details")},
    "losses": {"text": ("listener", "how", "details")},
    "events": {"event": ("code",), "text": ("process", "code", "details")},
}
SEARCHED_TABLES = tuple(COLUMNS)

_ADDRESS_FIELDS = {"src", "dst", "ip", "from"}
_PORT_FIELDS = {"sport", "dport", "port"}


def where_clause(terms: list[Term], table: str) -> tuple[str, dict[str, Any]] | None:
    """SQL condition and its parameters for one table, or None when no row of it can match. Raises QueryError."""
    conditions: list[str] = []
    parameters: dict[str, Any] = {}
    can_match = True
    for number, term in enumerate(terms):
        if term.field == "table":
            can_match &= (_table(term) == table) != term.negated
            continue
        columns = COLUMNS[table].get(term.field or "text", ())
        condition, values = _condition(term, columns, f"p{number}")
        if not columns:
            can_match &= term.negated
            continue
        conditions.append(f"NOT coalesce({condition}, 0)" if term.negated else condition)
        parameters |= values
    return (" AND ".join(conditions) or "1", parameters) if can_match else None


def _condition(term: Term, columns: tuple[str, ...], name: str) -> tuple[str, dict[str, Any]]:
    if term.field in _ADDRESS_FIELDS:
        low, high = _address_range(term)
        if low == high:
            parts = [f"`{c}` = {{{name}a:IPv6}}" for c in columns]
            return _any(parts), {f"{name}a": low}
        parts = [f"(`{c}` >= {{{name}a:IPv6}} AND `{c}` <= {{{name}b:IPv6}})" for c in columns]
        return _any(parts), {f"{name}a": low, f"{name}b": high}
    if term.field in _PORT_FIELDS:
        try:
            port = parse_port(term.value)
        except ArchiveFormatError as error:
            raise QueryError(f"{error} (at character {term.position + 1})", term.position) from error
        return _any([f"`{c}` = {{{name}:UInt16}}" for c in columns]), {name: port}
    if term.field == "proto":
        protocol = PROTOCOLS.get(term.value.lower(), -1)
        if protocol < 0 and term.value.isascii() and term.value.isdigit() and int(term.value) < 256:
            protocol = int(term.value)
        if protocol < 0:
            raise QueryError(
                f"{term.value!r} is not a protocol at character {term.position + 1}; "
                f"valid are {', '.join(PROTOCOLS)} or 0 to 255",
                term.position,
            )
        return _any([f"`{c}` = {{{name}:UInt8}}" for c in columns]), {name: protocol}
    if term.field in ("", "text"):
        return _any([f"positionCaseInsensitiveUTF8(`{c}`, {{{name}:String}}) > 0" for c in columns]), {name: term.value}
    return _any([f"lowerUTF8(`{c}`) = lowerUTF8({{{name}:String}})" for c in columns]), {name: term.value}


def _table(term: Term) -> str:
    name = term.value.lower()
    if name not in COLUMNS:
        raise QueryError(
            f"{term.value!r} is not a table at character {term.position + 1}; valid are {', '.join(COLUMNS)}",
            term.position,
        )
    return name


def _any(parts: list[str]) -> str:
    return "(" + " OR ".join(parts) + ")" if parts else "0"


def _address_range(term: Term) -> tuple[str, str]:
    try:
        # A zone index (`fe80::1%eth0`) means something on one machine only; the engine cannot read it.
        network = ipaddress.ip_network(term.value.replace("%", "?"), strict=False)
    except ValueError as error:
        raise QueryError(
            f"{term.value!r} is not an address or network at character {term.position + 1}; "
            "valid are 10.0.1.7, 10.0.1.0/24, 2001:db8::/32",
            term.position,
        ) from error
    prefix = "::ffff:" if network.version == 4 else ""
    return f"{prefix}{network[0]}", f"{prefix}{network[-1]}"
