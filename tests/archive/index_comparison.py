"""The index of a log compared with its journal, and changes made in the index alone."""

import threading
from typing import Any

from indexed_log import IndexedLog

from archive.index.check_content import SampleSizes
from archive.index.self_check import SelfCheck

ALL, COUNTS = SampleSizes(10_000, 0, 10_000, 0), SampleSizes(0, 0, 0, 0)


def check(log: IndexedLog, sizes: SampleSizes = ALL, hold: Any = None, **more: Any) -> dict[str, Any]:
    made = SelfCheck(log.paths, log.engine, log.indexer, hold or threading.Lock(), log.make_worker, sizes=sizes, **more)
    return made.run(threading.Event())


def forge(log: IndexedLog, table: str, change: str) -> None:
    log.engine.command(f"ALTER TABLE {log.engine.database}.{table} {change} SETTINGS mutations_sync = 2")


def places(result: dict[str, Any]) -> set[tuple[str, int, str]]:
    return {(place["table"], place["leaf_index"], place["what"]) for place in result["places"]}


def assert_intact(result: dict[str, Any]) -> None:
    assert (result["defects"], result["messages"], result["problem"]) == (0, [], ""), result
    assert (result["state"], result["is_complete"]) == ("checked", True)
