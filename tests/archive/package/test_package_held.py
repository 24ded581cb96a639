"""A package of records whose day was purged and that a hold has kept."""

import shutil
from pathlib import Path

import pytest
from conftest import Made, make_flows, make_lines
from package_log import PackageArchive

from archive.addresses import format_address
from archive.errors import ArchiveError
from archive.package.content import CITED, CitedRecord
from archive.retention.held_file import HeldFile, HeldRecord, encode_held, held_name


def hold_and_purge(archive: PackageArchive, records: list[CitedRecord]) -> None:
    """The cited records of the first collector's day into a held file, and the day's folder gone. Which leaf would say
    so is another matter: any leaf of the log stands for it here."""
    log = next(iter(archive.sources().source_logs().values()))
    kept = sorted((one for one in records if one.role == CITED and one.place.leaf != 0), key=lambda one: one.place)
    held = [
        HeldRecord(
            one.place.leaf, one.place.row, one.received_unix_ns, format_address(one.source_address), one.source_port,
            one.transport, one.listener, one.truncated, one.length, tuple(one.units),
        )
        for one in kept
        if log.leaves.leaf(one.place.leaf)["stream"] == "collector"
    ]  # fmt: skip
    assert held
    folder = Path(log.leaves.leaf(held[0].leaf)["segment"]).parent
    path = log.paths.log / held_name(folder.name, 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_held(HeldFile(folder.name, log.origin, 1, tuple(held))))
    shutil.rmtree(log.paths.segments / folder)


def test_a_held_line_is_proven_as_it_was(tmp_path: Path) -> None:
    made = make_lines(tmp_path / "archive", others=5)
    _check(made)


def _check(made: Made) -> None:
    archive = made.archive
    answer = {**made.answer, "losses": []}
    before = archive.build(answer).content
    hold_and_purge(archive, before.records)
    built = archive.build(answer)
    held = [one for one in built.content.records if one.purge_leaf is not None]
    assert held
    units = {(unit.leaf, unit.row, unit.offset): unit.data for one in before.records for unit in one.units}
    assert all(units[unit.leaf, unit.row, unit.offset] == unit.data for one in held for unit in one.units)
    archive.close()


def test_what_is_neither_there_nor_held_makes_no_package(tmp_path: Path) -> None:
    made = make_flows(tmp_path / "archive")
    archive = made.archive
    log = next(iter(archive.sources().source_logs().values()))
    step = next(one for one in made.answer["candidates"][0]["steps"] if one["step"] == "public_address")
    shutil.rmtree(log.paths.segments / Path(log.leaves.leaf(step["leaf_index"])["segment"]).parent)
    with pytest.raises(ArchiveError) as caught:
        archive.build({**made.answer, "losses": []})
    assert caught.value.code == "record_gone"
    archive.close()
