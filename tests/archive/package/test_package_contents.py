"""What is in a package and what is not: units of the cited records alone, decoded again, over logs and without time."""

import base64
import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nat_datagrams as made_datagrams
import package_log
import pytest
from conftest import Made, make_flows, make_lines
from package_log import INSIDE, OUTSIDE, PORT, PackageArchive, write_folder, write_zip

from archive.errors import ArchiveError
from archive.index.leaf_reader import LeafReader
from archive.package import gather
from archive.package.verify_package import read_capture, verify_package
from archive.succession import former_folders

PERSONS = 100


def bytes_of(files: dict[str, bytes]) -> bytes:
    """Every byte of a package, and every unit in it as it is."""
    units = [
        base64.b64decode(json.loads(line)["data"])
        for name, data in files.items()
        if "/units/" in name
        for line in data.splitlines()
    ]
    return b"\n".join([*files.values(), *units])


def test_a_package_of_lines_verifies_and_says_what_is_proven(lines: Made, tmp_path: Path) -> None:
    said = verify_package(str(write_zip(tmp_path / "p.zip", lines.files)))
    english, thai = zip(*said, strict=True)
    assert any("computed again" in one for one in english)
    assert any("NOT PROVEN" in one for one in english)
    assert any("คำนวณซ้ำ" in one for one in thai)
    assert verify_package(str(write_folder(tmp_path / "bag", lines.files)))[1:] == said[1:]


def test_a_package_of_flows_verifies(flows: Made, tmp_path: Path) -> None:
    verify_package(str(write_zip(tmp_path / "p.zip", flows.files)))
    (name,) = [name for name in flows.files if name.endswith(".pcap")]
    payloads = read_capture(flows.files[name])
    assert payloads
    assert made_datagrams.ip(INSIDE) in payloads[-1]


@pytest.mark.parametrize("make", [make_lines, make_flows])
def test_of_a_hundred_persons_in_one_chunk_one_is_in_the_package(make: Any, tmp_path: Path) -> None:
    one = make(tmp_path, others=PERSONS - 1)
    try:
        everything = bytes_of(one.files)
        assert INSIDE.encode() in everything
        records = [json.loads(data) for name, data in one.files.items() if "/leaves/" in name]
        assert make is make_flows or max(leaf.get("records", 0) for leaf in records) >= PERSONS
        for number in range(1, PERSONS):
            assert f"at 10.0.1.{number}".encode() not in everything
            assert made_datagrams.ip(f"10.0.1.{number}") not in everything
            assert f"person {number} at".encode() not in everything
        assert not [name for name in one.files if "chunk" in name]
    finally:
        one.archive.close()


def test_index_rows_that_the_bytes_do_not_say_make_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = make_lines(tmp_path)
    real = gather.SourceLog.index_rows

    def falsified(self: Any, leaf: int, row: int, tables: tuple[str, ...]) -> Any:
        rows = real(self, leaf, row, tables)
        return [
            dataclasses.replace(found, values={**found.values, "message": "another"})
            if found.table == "logs"
            else found
            for found in rows
        ]

    monkeypatch.setattr(gather.SourceLog, "index_rows", falsified)
    with pytest.raises(ArchiveError) as caught:
        one.archive.build(one.answer)
    assert caught.value.code == "answer_disagrees"
    one.archive.close()


def test_an_answer_that_says_more_than_its_records_makes_no_package(lines: Made) -> None:
    answer = json.loads(json.dumps(lines.answer))
    step = next(one for one in answer["candidates"][0]["steps"] if one["step"] == "account")
    step["value"] = "malee"
    with pytest.raises(ArchiveError) as caught:
        lines.archive.build(answer)
    assert caught.value.code == "answer_disagrees"


def test_a_package_older_than_a_key_change_still_verifies(tmp_path: Path) -> None:
    one = make_lines(tmp_path / "archive")
    path = write_zip(tmp_path / "p.zip", one.files)
    one.archive.change_key()
    verify_package(str(path))
    one.archive.close()


def test_records_on_both_sides_of_a_key_change_are_in_one_package(tmp_path: Path) -> None:
    archive = PackageArchive(tmp_path / "archive")
    archive.login("open")
    archive.conntrack("NEW")
    at = archive.now_ns
    first = archive.origin
    archive.change_key()
    archive.log.clock.advance(5)
    archive.conntrack("DESTROY")
    archive.login("close")
    answer = archive.who(at)
    assert answer["candidates"]
    assert {step["log"] for one in answer["candidates"] for step in one["steps"] if step["log"]} == {first}
    files = archive.package(answer)
    assert {"data/logs/1/leaves/0.json", "data/logs/2/leaves/0.json"} <= files.keys()
    assert any(name.startswith("data/logs/1/units/") for name in files)
    verify_package(str(write_zip(tmp_path / "p.zip", files)))
    archive.close()


def test_a_leaf_of_an_ended_log_without_a_root_is_told_in_one_sentence(tmp_path: Path) -> None:
    archive = PackageArchive(tmp_path / "archive")
    archive.login("open")
    archive.conntrack("NEW")
    at = archive.now_ns
    shutil.rmtree(archive.log.paths.inbox / "units")
    archive.change_key()
    assert former_folders(archive.log.paths)
    archive.log.clock.advance(5)
    archive.login("close")
    with pytest.raises(ArchiveError, match="ended log") as caught:
        archive.build(archive.who(at))
    assert caught.value.code == "no_records_root_ended"
    archive.close()


def test_the_carry_stands_for_an_original_that_is_gone(tmp_path: Path) -> None:
    archive = PackageArchive(tmp_path / "archive", carries=True)
    archive.login("open")
    leaf = archive.nat(made_datagrams.CREATE, INSIDE)
    for _ in range(3):
        archive.next_day()
    archive.seal_roots()
    answer = archive.who(archive.now_ns - 60 * package_log.NS)
    step = next(one for one in answer["candidates"][0]["steps"] if one["step"] == "public_address")
    assert (step["leaf_index"], step["value"]) == (leaf, f"{OUTSIDE}:{PORT}")
    files = archive.package(answer)
    assert f"data/pcap/1-{leaf}-1.pcap" in files
    day = archive.log.paths.segments / LeafReader(archive.log.paths).leaf(leaf)["segment"]
    shutil.rmtree(day.parent)
    files = archive.package(answer)
    carried = f"data/records/1-{step['carried_leaf_index']}-{step['carried_row']}.bin"
    assert json.loads(files[carried])["values"]["opened_leaf"] == leaf
    verify_package(str(write_zip(tmp_path / "p.zip", files)))
    archive.close()


def test_a_template_of_an_earlier_datagram_comes_with_its_unit_alone(tmp_path: Path) -> None:
    from netflow_datagrams import data, template

    archive = PackageArchive(tmp_path / "archive")
    archive.login("open")
    listener = "netflow/udp-2055"
    seconds = archive.now_ns // package_log.NS
    archive.log.put("collector", (listener, template(seconds, 1)))
    archive.line("between")
    others = [(f"10.0.1.{n}", 1000 + n, OUTSIDE, 1000 + n) for n in range(1, 20)]
    archive.log.put("collector", (listener, data(seconds, 2, *others, (INSIDE, 5000, OUTSIDE, PORT))))
    at = archive.now_ns
    archive.log.clock.advance(5)
    archive.login("close")
    answer = archive.who(at)
    assert answer["candidates"], answer
    files = archive.package(answer)
    verify_package(str(write_zip(tmp_path / "p.zip", files)))
    (name,) = [name for name in files if name.endswith(".pcap")]
    payloads = read_capture(files[name])
    assert payloads is not None
    assert len(payloads) == 2
    folder = write_folder(tmp_path / "bag", files)
    done = subprocess.run(
        ["tshark", "-V", "-O", "cflow", "-r", str(folder / name)], capture_output=True, text=True, check=True
    )
    assert INSIDE in done.stdout
    assert "10.0.1." not in done.stdout
    archive.close()


def test_an_answer_that_cites_too_much_is_refused_in_one_sentence(lines: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "MAX_CITED_RECORDS", 1)
    with pytest.raises(ArchiveError, match="at most 1;") as caught:
        lines.archive.build(lines.answer)
    assert caught.value.code == "too_wide"


def test_records_on_both_sides_of_a_restore_are_in_one_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexed_log.KEY_CHANGED", "restored")
    archive = PackageArchive(tmp_path / "archive")
    archive.login("open")
    archive.conntrack("NEW")
    at = archive.now_ns
    archive.change_key()
    archive.log.clock.advance(5)
    archive.login("close")
    built = archive.build(archive.who(at))
    assert [one.ended_why for one in built.content.logs] == ["restored", ""]
    verify_package(str(write_zip(tmp_path / "p.zip", archive.sign(built.bag))))
    archive.close()
