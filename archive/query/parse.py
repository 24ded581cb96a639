"""The filter language: `src:10.0.1.7 dport:443 user:somchai "free text" -action:deny`. Text to terms. Pure."""

import re
from dataclasses import dataclass

from archive.errors import ArchiveFormatError

MAX_QUERY_CHARACTERS = 2000
MAX_TERMS = 32
"""A question of more terms is a mistake; each costs a scan of a column."""

FIELDS = {
    "src": "source address or network",
    "dst": "destination address or network",
    "ip": "source, destination, inside or outside address or network",
    "sport": "source port",
    "dport": "destination port",
    "port": "source, destination, inside or outside port",
    "proto": "protocol: tcp, udp, icmp or a number",
    "user": "account name",
    "mac": "device address aa:bb:cc:dd:ee:ff",
    "host": "host name in a syslog header",
    "app": "program name in a syslog header",
    "action": "accept, drop, deny, ...",
    "from": "address of the device that sent the record",
    "table": "logs, flows, nat, sessions, identity, losses, events",
    "event": "open, update, close, reject, ...",
}

_TOKEN = re.compile(r'\s*(-)?(?:([A-Za-z_]+):)?("(?:[^"\\]|\\.)*"|[^\s"]+)')


class QueryError(ArchiveFormatError):
    """A query that cannot be read; `position` is the offending character, from 0."""

    code = "bad_query"

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True)
class Term:
    """One condition. `field` is empty for free text."""

    field: str
    value: str
    negated: bool
    position: int


def parse_query(text: str) -> list[Term]:
    """Terms of a query, all of which must hold. Raises QueryError pointing at the place."""
    if len(text) > MAX_QUERY_CHARACTERS:
        raise QueryError(f"query of {len(text)} characters; at most {MAX_QUERY_CHARACTERS}", MAX_QUERY_CHARACTERS)
    terms: list[Term] = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if not match:
            raise QueryError(f'unfinished quotation at character {position + 1}: add a closing "', position)
        negated, name, value = match[1], match[2], match[3]
        start = match.start(3) if name is None else match.start(2)
        if name is not None and name.lower() not in FIELDS:
            if value.startswith('"'):
                raise QueryError(f"unknown field {name!r} at character {start + 1}; {_known_fields()}", start)
            raise QueryError(
                f"unknown field {name!r} at character {start + 1}; {_known_fields()}; "
                f'to search for the text itself write "{name}:{value}"',
                start,
            )
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        if not value or (name is None and match[3].endswith(":") and value[:-1].lower() in FIELDS):
            raise QueryError(f"empty value at character {start + 1}", start)
        terms.append(Term((name or "").lower(), value, bool(negated), start))
        position = match.end()
    if len(terms) > MAX_TERMS:
        raise QueryError(f"{len(terms)} terms; at most {MAX_TERMS}", terms[MAX_TERMS].position)
    return terms


def _known_fields() -> str:
    return "known fields are " + ", ".join(FIELDS)
