"""Purge against policy: what is right is intact to both verifiers, and each way of doing it wrong has its code."""

import json
from pathlib import Path

import pytest

from tests.archive.forged_purge import Change, Fields, Forger, held_lines, put_lines, second_defects

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Forger:
    return Forger(tmp_path_factory.mktemp("forger"))


def change_hash(fields: Fields, files: Files) -> None:
    fields["held"]["sha256"] = "0" * 64


def drop_rows(fields: Fields, files: Files) -> None:
    del files[fields["held"]["rows_file"]]


def take_unit_out(fields: Fields, files: Files) -> None:
    lines = held_lines(files)[1]
    put_lines(fields, files, [line for line in lines if b'"offset":4,"path"' not in line or b'"row":5' not in line])


def change_unit(fields: Fields, files: Files) -> None:
    _, lines = held_lines(files)
    unit = json.loads(lines[2])
    lines[2] = json.dumps(unit | {"data": "AAAA"}, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    put_lines(fields, files, lines)


def name_identity(fields: Fields, files: Files) -> None:
    fields["streams"].insert(1, fields["streams"][0] | {"stream": "identity"})


def count_one_more(fields: Fields, files: Files) -> None:
    fields["streams"][0]["records"] += 1


def say_another_time(fields: Fields, files: Files) -> None:
    fields["unix_ns"] = str(int(fields["unix_ns"]) + 1)


def keep_for_longer(fields: Fields, files: Files) -> None:
    fields["retention_days"] = 1_000


WRONG: dict[str, tuple[Change, str]] = {
    "hash": (change_hash, "held_changed"),
    "rows gone": (drop_rows, "held_missing"),
    "unit missing": (take_unit_out, "held_unit"),
    "unit changed": (change_unit, "held_unit"),
    "long-lived": (name_identity, "purge_leaf"),
    "range": (count_one_more, "purge_range"),
    "present": (say_another_time, "purge_clock"),
    "early": (keep_for_longer, "purge_too_early"),
}


@pytest.mark.parametrize("case", WRONG)
def test_each_wrong_purge_has_its_code(forger: Forger, case: str) -> None:
    change, code = WRONG[case]
    report = forger.forge(change)
    assert code in {defect.code for defect in report.defects}
    assert second_defects(*forger.last_paths())


def test_a_right_purge_is_intact_and_stated(forger: Forger) -> None:
    report = forger.forge(lambda fields, files: None)
    assert (report.exit_code, second_defects(*forger.last_paths())) == (0, [])
    assert report.purged["days"] == 1
    assert report.purged["held_units"] == 4
    assert "purged" in {statement.code for statement in report.statements}


def test_what_is_sealed_and_not_removed_is_stated(forger: Forger) -> None:
    report = forger.forge(lambda fields, files: None, removes=False)
    assert (report.exit_code, second_defects(*forger.last_paths())) == (0, [])
    assert "purge_not_finished" in {statement.code for statement in report.statements}


def paths_of(forger: Forger) -> list[Path]:
    return sorted(path for path in (forger.last_paths()[0] / "log/segments").rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["000000.seg", "salt.key", "units"])
def test_what_is_gone_without_a_purge_leaf_is_found(forger: Forger, name: str) -> None:
    log = forger.copy()
    log.close()
    path = next(path for path in paths_of(forger) if path.name.endswith(name))
    path.unlink()
    assert {d.code for d in forger.verify(log).defects} & {"segment_missing", "salt_missing", "units_missing"}
    assert second_defects(*forger.last_paths())
