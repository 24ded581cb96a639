"""data/custody.jsonld is CASE/UCO and says who, what, when and why; clock and completeness are read by programs."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_content
import pytest

from archive.package.clock_file import clock_file
from archive.package.completeness import completeness
from archive.package.content import IndexRow
from archive.package.custody import custody

FILES = {"data/letter.txt": "ปู่ น้ำ".encode(), "data/records/1-100-0.bin": b"\x00\xff"}
VALIDATOR = Path(sys.executable).parent / "case_validate"


def nodes(stored: bytes) -> list[dict[str, Any]]:
    return json.loads(stored)["@graph"]


@pytest.mark.parametrize("kind", ["exact", "several", "not_received"])
def test_it_is_valid_case(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "custody.jsonld"
    path.write_bytes(custody(getattr(made_content, kind)(), FILES))
    done = subprocess.run([VALIDATOR, path], capture_output=True, text=True, check=False)
    assert "Conforms: True" in done.stdout, done.stdout + done.stderr
    assert "Severity" not in done.stdout


def test_the_validator_can_fail(tmp_path: Path) -> None:
    path = tmp_path / "custody.jsonld"
    path.write_bytes(custody(made_content.exact(), FILES).replace(b'"types:hashMethod"', b'"types:hashMethodx"'))
    done = subprocess.run([VALIDATOR, path], capture_output=True, text=True, check=False)
    assert "Conforms: True" not in done.stdout


def test_every_file_is_there_with_its_hash() -> None:
    found = {}
    for node in nodes(custody(made_content.exact(), FILES)):
        if node["@type"] == "observable:File":
            file, data = node["core:hasFacet"]
            found[file["observable:filePath"]] = data["observable:hash"][0]["types:hashValue"]["@value"]
    assert found == {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}


def test_each_person_who_handled_it_with_purpose_and_time() -> None:
    graph = nodes(custody(made_content.exact(), FILES))
    names = {node["@id"]: node["core:name"] for node in graph if node["@type"] == "identity:Person"}
    actions = {node["core:name"]: node for node in graph if node["@type"] == "investigation:InvestigativeAction"}
    assert {name: names[node["action:performer"]["@id"]] for name, node in actions.items()} == {
        "request for data": "พ.ต.ท. ญี่ปุ่น กำลังฐานุ", "approval": "ผอ.น้ำทิพย์ ปู่ทอง", "export": "malee",
        "hand-over of the case": "malee",
    }  # fmt: skip
    assert all(node["core:description"] and node["action:startTime"]["@value"] for node in actions.values())
    told = {one["action:argumentName"]: one["action:value"] for one in actions["export"]["core:hasFacet"]}
    for name, value in {
        "export_id": "2026-11-20-abcdef", "legal_basis": "ตช 0039.52/ป 1234", "exporter": "malee",
        "query.address": "203.0.113.5",
        "left_out.records_of_cited_chunks": "4117", "software": "phayan 1", "count.records": "3", "certainty": "exact",
    }.items():  # fmt: skip
        assert told[name] == value
    assert any(name.startswith("anchor.after") for name in told)
    assert any(name.startswith("clock.log1") for name in told)


def test_the_same_content_makes_the_same_file() -> None:
    assert custody(made_content.exact(), FILES) == custody(made_content.exact(), FILES)


def test_completeness_for_programs() -> None:
    content = made_content.not_received()
    told = completeness(content)
    assert told["format"] == 1
    assert told["gaps"] == content.losses
    assert told["silent_sources"][0]["source"] == "10.0.0.9"
    assert told["purged_days"] == [{"day": "20260801", "log": 1, "leaf": 12}]
    assert told["sampling"] == []
    content.records[0].rows.append(IndexRow("flows", 0, {"extra": '{"samplingInterval": 100}', "end": made_content.AT}))
    assert completeness(content)["sampling"] == ["samplingInterval=100"]


def test_the_clock_for_programs() -> None:
    told = clock_file(made_content.exact())
    assert told["format"] == 1
    assert told["statements"][0]["samples"][0]["synchronised"] is True
    assert told["leaf_intervals"][0]["leaf"] == "1-100"
    (source,) = told["sources"]
    assert source["source"] == "10.0.0.1 syslog/udp-5514"
    assert source["most_receipt_minus_source_ns"] == "1250000000"
