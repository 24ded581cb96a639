"""States exporters and uplinks in the journal where they differ from what was stated last."""

import logging
from pathlib import Path
from typing import Any

from archive.clock import Clock
from archive.durable import replace_file
from archive.network_settings import Facts, changed_facts, decode_facts, encode_fact, encode_facts
from archive.spool import SpoolWriter

LISTENER = "identity"

log = logging.getLogger(__name__)


def state_network(writer: SpoolWriter, copy: Path, facts: list[dict[str, Any]], clock: Clock) -> int:
    """Write an event for each fact that changed; returns how many. All are durable before the working copy at `copy`
    changes: after a crash in between, or without the copy, they are stated once more, which changes no answer.

    Raises SpoolError, OSError.
    """
    changes = changed_facts(_read(copy), facts)
    if not changes:
        return 0
    now = clock.unix_ns()
    tickets = [writer.append(encode_fact(event, details, now), listener=LISTENER) for event, details in changes]
    writer.wait_durable(tickets[-1])
    replace_file(copy, encode_facts(facts), mode=0o640)
    return len(changes)


def _read(copy: Path) -> Facts:
    try:
        return decode_facts(copy.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s); exporters and uplinks are stated once more", copy, error)
        return {}
