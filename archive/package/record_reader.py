"""One record of a log as a package shows it: its columns and its units, from its chunk or from a held file."""

import pyarrow as pa

from archive.addresses import parse_address
from archive.errors import AskError
from archive.package.content import CitedRecord, Place
from archive.package.source_log import SourceLog
from archive.unit_proof import UnitProof


def bare_record(log: SourceLog, place: Place, role: str) -> CitedRecord:
    """A record without its units: as its chunk has it, or its held file."""
    if log.has_chunk(place.leaf):
        found = log.record(place.leaf, place.row)
        return CitedRecord(
            place, log.origin, role, found["received_unix_ns"], found["source_address"], found["source_port"],
            found["transport"], found["listener"], found["truncated"], len(found["payload"]),
        )  # fmt: skip
    held = log.held(place.leaf, place.row)
    if held is None:
        raise AskError(
            f"record {place.row} of leaf {place.leaf} of {log.origin} is past its retention and not held",
            code="record_gone",
        )
    one, purge_leaf = held
    return CitedRecord(
        place, log.origin, role, one.received_unix_ns, parse_address(one.source_address or "::"), one.source_port,
        one.transport, one.listener, one.truncated, one.length, purge_leaf=purge_leaf,
    )  # fmt: skip


def prove_record(log: SourceLog, record: CitedRecord, offsets: frozenset[int] | None) -> list[UnitProof]:
    """Units of a record, those at `offsets` or all, from its chunk or its held file. Raises as SourceLog.prove does."""
    place = record.place
    if record.purge_leaf is None:
        return log.prove(place.leaf, place.row, offsets)
    held = log.held(place.leaf, place.row)
    units = held[0].units if held else ()
    for unit in units:
        unit.check(log.root(unit.leaf, unit.generation, unit.records_leaf))
    return [unit for unit in units if offsets is None or unit.offset in offsets]


def fill_text(log: SourceLog, record: CitedRecord) -> None:
    """Give a line, an event or a packet all its units. Raises AskError `record_gone` where only some are held."""
    record.units = prove_record(log, record, None)
    if sum(len(unit.data) for unit in record.units) != record.length:
        raise AskError(f"record {record.place.name()} is held in part only", code="record_gone")


def chunk_of(record: CitedRecord, payloads: list[bytes]) -> pa.Table:
    """A chunk of payloads that came as the record did."""
    count = len(payloads)
    return pa.table(
        {
            "received_unix_ns": pa.array([record.received_unix_ns] * count, pa.int64()),
            "source_address": pa.array([record.source_address] * count, pa.binary(16)),
            "source_port": pa.array([record.source_port] * count, pa.uint16()),
            "transport": pa.array([record.transport] * count, pa.string()),
            "listener": pa.array([record.listener] * count, pa.string()),
            "truncated": pa.array([record.truncated] * count, pa.bool_()),
            "payload": pa.array(payloads, pa.binary()),
        }
    )


def disagrees(record: CitedRecord) -> AskError:
    return AskError(
        f"leaf {record.place.leaf} row {record.place.row} of {record.origin}, decoded again from the package's bytes, "
        "does not say what the index says; no package is made, run `phayan reindex`",
        code="answer_disagrees",
    )
