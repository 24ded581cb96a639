"""Packages that must not verify: the fixtures that the product ships (threats 15 and 20). Each is made here from a
sound package by one change; where the change lies before the signature it is signed anew with the log's real key."""

import base64
import csv
import datetime
import hashlib
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import package_log
import pytest
from conftest import Made
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from package_log import FOLDER, write_folder, write_zip

from archive.keys import LogKeys, make_certificate
from archive.package import verify_package as verifier
from archive.package.bag import make_bag
from archive.package.verify_package import (
    MAX_FILES,
    SIGNATURE,
    SIGNED,
    TOKEN,
    Options,
    PackageError,
    load_certificates,
    main,
    make_capture,
    read_capture,
    verify_package,
    zip_package,
)
from archive.reduced_datagram import reduce_datagram
from archive.unit_proof import decode_unit_proof
from tests.archive.tsa_maker import MadeAuthority, issue
from tests.fault.load import accounting_request

UTC = datetime.UTC
SAMPLED_BYTES = 6
FULL_BYTES = 200
_OUTSIDE_MANIFESTS = (SIGNATURE, TOKEN)

Files = dict[str, bytes]


def fails(path: Path, expected: str, options: Options | None = None) -> None:
    """The package does not verify, and the sentence says why in both languages."""
    with pytest.raises(PackageError) as caught:
        verify_package(str(path), options)
    assert expected in str(caught.value)
    assert "ไม่ผ่านการตรวจ" in str(caught.value)


def rebag(files: Files) -> Files:
    """Manifests made anew: what a forger without the key can do."""
    payload = {name: data for name, data in files.items() if name.startswith("data/")}
    tags = {name: files[name] for name in ("VERIFY.txt", "verify_package.py")}
    bag = make_bag(payload, tags, {"External-Identifier": "x"})
    return {**bag, **{name: files[name] for name in _OUTSIDE_MANIFESTS if name in files}}


def resign(made: Made, files: Files) -> Files:
    """Signed anew by the real key: what a dishonest office can do."""
    return made.archive.sign({name: data for name, data in rebag(files).items() if name not in _OUTSIDE_MANIFESTS})


# Changed bytes


@pytest.mark.parametrize("which", ["lines", "flows", "stamped"])
def test_one_changed_byte_in_any_file(
    which: str, request: pytest.FixtureRequest, tmp_path: Path, full_counts: bool
) -> None:
    files: Files = request.getfixturevalue(which).files
    folder = write_folder(tmp_path / "bag", files)
    chosen = random.Random(11)
    verify_package(str(folder))
    tried = 0
    for name, stored in sorted(files.items()):
        count = FULL_BYTES if full_counts else SAMPLED_BYTES
        every = name in _OUTSIDE_MANIFESTS and (full_counts or which != "flows")
        offsets = range(len(stored)) if every else chosen.sample(range(len(stored)), min(count, len(stored)))
        for offset in offsets:
            changed = bytearray(stored)
            changed[offset] ^= 1 << chosen.randrange(8)
            (folder / name).write_bytes(changed)
            with pytest.raises(PackageError):
                verify_package(str(folder))
            tried += 1
        (folder / name).write_bytes(stored)
    verify_package(str(folder))
    print(f"{which}: {tried} changed bytes in {len(files)} files, all found")


def test_every_changed_byte_of_a_zip_between_the_files(lines: Made, tmp_path: Path) -> None:
    stored = zip_package(FOLDER, lines.files)
    chosen = random.Random(12)
    path = tmp_path / "p.zip"
    for offset in chosen.sample(range(len(stored)), 150):
        changed = bytearray(stored)
        changed[offset] ^= 1 << chosen.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(PackageError):
            verify_package(str(path))


# The container: name -> (a zip made from the files, part of the sentence)


def _zip(entries: list[tuple[str, bytes]], **settings: Any) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", settings.get("compression", zipfile.ZIP_STORED)) as archive:
        for name, data in entries:
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = settings.get("attributes", {}).get(name, 0o644 << 16)
            entry.create_system = 3
            entry.compress_type = settings.get("compression", zipfile.ZIP_STORED)
            archive.writestr(entry, data)
    return sink.getvalue()


def _entries(files: Files) -> list[tuple[str, bytes]]:
    return [(f"{FOLDER}/{name}", data) for name, data in sorted(files.items())]


def _bomb(files: Files) -> bytes:
    return _zip([(f"{FOLDER}/data/zeros", bytes(64 * 1024 * 1024))], compression=zipfile.ZIP_DEFLATED)


def _lying_bomb(files: Files) -> bytes:
    """The directory says that a small file has four gigabytes."""
    stored = bytearray(_zip(_entries(files)))
    at = stored.index(b"PK\x01\x02")
    struct.pack_into("<II", stored, at + 20, 2**32 - 2, 2**32 - 2)
    return bytes(stored)


def _renamed(before: str, after: str) -> Callable[[Files], bytes]:
    return lambda files: _zip([(name.replace(before, after), data) for name, data in _entries(files)])


def _with_entry(name: str, data: bytes = b"x", **settings: Any) -> Callable[[Files], bytes]:
    return lambda files: _zip([*_entries(files), (name, data)], **settings)


CONTAINERS: dict[str, tuple[Callable[[Files], bytes], str]] = {
    "a zip bomb": (_bomb, "zip bomb"),
    "a directory that lies about sizes": (_lying_bomb, ""),
    "a compressed file": (lambda files: _zip(_entries(files), compression=zipfile.ZIP_DEFLATED), "zip bomb"),
    "a path upwards": (_with_entry(f"{FOLDER}/../outside"), "of this name"),
    "an absolute path": (_with_entry("/etc/passwd"), ""),
    "a path inside upwards": (_with_entry(f"{FOLDER}/data/../../x"), "of this name"),
    "a path of a drive": (_with_entry(f"{FOLDER}/C:\\x"), "of this name"),
    "an empty part of a path": (_with_entry(f"{FOLDER}/data//x"), "of this name"),
    "a name of a thousand bytes": (_with_entry(f"{FOLDER}/" + "x" * 1000), "of this name"),
    "a name in Thai": (_with_entry(f"{FOLDER}/คำตอบ.txt"), "of this name"),
    "a name twice": (_with_entry(f"{FOLDER}/VERIFY.txt"), "twice"),
    "a file in another folder": (_with_entry("other/VERIFY.txt"), ""),
    "a zip in the zip": (_with_entry(f"{FOLDER}/data/more.zip", _zip([("a", b"b")])), "not as it was made"),
    "a symbolic link": (
        _with_entry(f"{FOLDER}/data/link", b"/etc/passwd", attributes={f"{FOLDER}/data/link": 0o120777 << 16}),
        "links and special files",
    ),
    "a device": (
        _with_entry(f"{FOLDER}/data/zero", b"", attributes={f"{FOLDER}/data/zero": 0o020666 << 16}),
        "links and special files",
    ),
    "files in another order": (lambda files: _zip(_entries(files)[::-1]), "not as it was made"),
    "bytes before the zip": (lambda files: b"MZ" + zip_package(FOLDER, files), "not as it was made"),
    "bytes behind the zip": (lambda files: zip_package(FOLDER, files) + b"PK", ""),
    "an empty zip": (lambda files: _zip([]), ""),
    "no zip": (lambda files: b"hello", "not a sound zip"),
    "half a zip": (lambda files: zip_package(FOLDER, files)[:20_000], "not a sound zip"),
    "too many files": (
        lambda files: _zip([(f"{FOLDER}/data/{n}", b"") for n in range(MAX_FILES + 1)]), "too large",
    ),
    "a file renamed": (_renamed("data/answer.csv", "data/answer2.csv"), "not as it was made"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_that_is_not_as_it_was_made(name: str, lines: Made, tmp_path: Path) -> None:
    make, expected = CONTAINERS[name]
    path = tmp_path / "p.zip"
    path.write_bytes(make(lines.files))
    fails(path, expected)
    assert main([str(path)]) == 1


def test_links_and_foreign_names_in_a_folder(lines: Made, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "bag", lines.files)
    (folder / "data" / "link").symlink_to("/etc/passwd")
    fails(folder, "links and special files")
    (folder / "data" / "link").unlink()
    (folder / "data" / "ไฟล์").write_bytes(b"")
    fails(folder, "of this name")


# Changes of a forger who makes the manifests anew but cannot sign: name -> (change, part of the sentence)


def _without(name: str) -> Callable[[Files], Files]:
    return lambda files: {key: data for key, data in files.items() if key != name}


def _with(name: str, data: bytes) -> Callable[[Files], Files]:
    return lambda files: {**files, name: data}


def _million_signatures(files: Files) -> Files:
    name = "data/logs/1/checkpoint"
    line = files[name].splitlines(keepends=True)[-1]
    return {**files, name: files[name] + line * 10**6}


def _many_signatures(files: Files) -> Files:
    name = "data/logs/1/checkpoint"
    line = files[name].splitlines(keepends=True)[-1]
    return {**files, name: files[name] + line * 100}


UNSIGNED: dict[str, tuple[Callable[[Files], Files], str]] = {
    "a file added": (_with("data/extra.txt", b"more"), "is in no manifest"),
    "a file added outside of data": (_with("extra.txt", b"more"), "is in no manifest"),
    "a file fetched from elsewhere": (_with("fetch.txt", b"http://example.org/ - data/x\n"), "is in no manifest"),
    "a file removed": (_without("data/dictionary.csv"), "is missing"),
    "the signature removed": (_without(SIGNATURE), "is missing"),
    "the manifest removed": (_without("manifest-sha256.txt"), "is missing"),
    "leaf 0 removed": (_without("data/logs/1/leaves/0.json"), "is missing"),
    "the script replaced": (_with("verify_package.py", b"print('VERIFIED')\n"), "was changed"),
    "manifests made anew": (lambda files: rebag(_with("data/letter.txt", b"another")(files)), "is not what was signed"),
    "another signature": (_with(SIGNATURE, b"\x30\x03\x02\x01\x00"), "is not a CMS signature"),
    "a million signatures": (_million_signatures, "too large"),
    "a hundred signatures": (_many_signatures, "was changed"),
    "a time stamp of something else": (_with(TOKEN, b"\x30\x03\x02\x01\x00"), "is not a time stamp"),
}


@pytest.mark.parametrize("name", UNSIGNED)
def test_files_added_removed_or_replaced(name: str, lines: Made, tmp_path: Path) -> None:
    change, expected = UNSIGNED[name]
    fails(write_folder(tmp_path / "bag", change(lines.files)), expected)
    fails(write_zip(tmp_path / "p.zip", change(lines.files)), expected)


def test_files_swapped_between_packages_of_two_cases(lines: Made, flows: Made, tmp_path: Path) -> None:
    """Each file that both have and that differs."""
    swapped = 0
    for name in sorted(lines.files.keys() & flows.files.keys()):
        if lines.files[name] == flows.files[name]:
            continue
        path = write_zip(tmp_path / "p.zip", {**lines.files, name: flows.files[name]})
        with pytest.raises(PackageError):
            verify_package(str(path))
        swapped += 1
    assert swapped >= 15


# Changes of somebody who has the log's real package key: name -> (change, part of the sentence)


def _edit_csv(name: str, change: Callable[[list[dict[str, str]]], None]) -> Callable[[Files], Files]:
    def edit(files: Files) -> Files:
        reader = csv.DictReader(io.StringIO(files[name].decode("utf-8-sig")))
        rows = list(reader)
        change(rows)
        sink = io.StringIO()
        writer = csv.DictWriter(sink, reader.fieldnames or [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return {**files, name: sink.getvalue().encode()}

    return edit


def _field(kind: str, name: str, value: Any) -> Callable[[Files], Files]:
    """One field of the first row of a kind, in data/records.csv."""

    def change(rows: list[dict[str, str]]) -> None:
        row = next(one for one in rows if one["kind"] == kind)
        fields = json.loads(row["fields"])
        fields[name] = value
        if value is None:
            del fields[name]
        row["fields"] = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    return _edit_csv("data/records.csv", change)


def _cell(file: str, column: str, value: str, number: int = 0) -> Callable[[Files], Files]:
    return _edit_csv(file, lambda rows: rows[number].__setitem__(column, value))


def _answer(change: Callable[[dict[str, Any]], None]) -> Callable[[Files], Files]:
    """The JSON and the table alike."""

    def edit(files: Files) -> Files:
        answer = json.loads(files["data/answer.json"])
        change(answer)
        edited = {**files, "data/answer.json": json.dumps(answer).encode()}

        def rows_of(rows: list[dict[str, str]]) -> None:
            steps = [step for one in answer["candidates"] for step in one["steps"]]
            for row, step in zip(rows, steps, strict=True):
                row["value"] = step["value"] or ""

        return _edit_csv("data/answer.csv", rows_of)(edited)

    return edit


def _say(step: str, value: str) -> Callable[[Files], Files]:
    def change(answer: dict[str, Any]) -> None:
        next(one for one in answer["candidates"][0]["steps"] if one["step"] == step)["value"] = value

    return _answer(change)


def _other_record(files: Files) -> Files:
    name = next(name for name in files if name.startswith("data/records/"))
    return {**files, name: files[name].replace(b"somchai", b"malee99").replace(b"10.0.0.7", b"10.0.0.8")}


def _other_unit(files: Files) -> Files:
    """The raw file and the unit alike, with the salt and the path left."""
    edited = _other_record(files)
    for name in [name for name in files if "/units/" in name]:
        lines = []
        for line in files[name].splitlines():
            values = json.loads(line)
            data = base64.b64decode(values["data"]).replace(b"somchai", b"malee99").replace(b"10.0.0.7", b"10.0.0.8")
            values["data"] = base64.b64encode(data).decode()
            lines.append(json.dumps(values, sort_keys=True, separators=(",", ":")) + "\n")
        edited[name] = "".join(lines).encode()
    return edited


def _leaf_field(files: Files) -> Files:
    name = next(name for name in files if "/leaves/" in name and b'"kind":"data"' in files[name])
    leaf = json.loads(files[name])
    leaf["records"] += 1
    return {**files, name: json.dumps(leaf, sort_keys=True, separators=(",", ":")).encode()}


def _gap_hidden(files: Files) -> Files:
    answer = json.loads(files["data/answer.json"])
    kept = [row for row in csv.DictReader(io.StringIO(files["data/records.csv"].decode("utf-8-sig")))]
    if not answer["losses"]:
        answer["losses"].append({"log": answer["log"], "leaf_index": kept[0]["leaf_index"], "row": 10**6})
    for name in [name for name in files if "/units/" in name]:
        files = {**files, name: b""}
    return files


SIGNED_CHANGES: dict[str, tuple[Callable[[Files], Files], str]] = {
    "an account in records.csv": (_field("session", "account", "malee"), "does not say what its raw bytes say"),
    "an address in records.csv": (_field("session", "address", "10.0.0.8"), "does not say what its raw bytes say"),
    "a time in records.csv": (_field("nat", "time_unix_ns", "1795000000000000000"), "does not say what its raw bytes"),
    "a port in records.csv": (_field("nat", "outside_port_low", 40_001), "does not say what its raw bytes say"),
    "a field left out of records.csv": (_field("nat", "inside_port", None), "does not say what its raw bytes say"),
    "a message in records.csv": (_field("line", "message", "nothing"), "does not say what its raw bytes say"),
    "a field that no row has": (_field("line", "person", "Somchai"), "does not say what its raw bytes say"),
    "a person in records.csv": (_field("identity", "person", "มาลี"), "does not say what its raw bytes say"),
    "a time of receipt": (
        _cell("data/records.csv", "received", "2026-11-18T18:00:00.000000000+07:00"), "outside of what its leaf proves",
    ),
    "another row's number": (_cell("data/records.csv", "row", "0"), ""),
    "another leaf's number": (_cell("data/records.csv", "leaf_index", "1"), ""),
    "a row without its file": (_cell("data/records.csv", "raw_file", ""), "names no raw file"),
    "a row with another's file": (_cell("data/records.csv", "raw_file", "data/answer.csv"), "is no raw file"),
    "fields that are no JSON": (_cell("data/records.csv", "fields", "{"), "cannot be read"),
    "fields in another spelling": (_cell("data/records.csv", "fields", "{ }"), "cannot be read"),
    "a column more": (
        lambda files: {**files, "data/records.csv": files["data/records.csv"].replace(b"log,", b"log,extra,", 1)},
        "cannot be read",
    ),
    "the table of the answer alone": (_cell("data/answer.csv", "value", "203.0.113.6:40000"), "is not that of"),
    "a candidate in the table": (_cell("data/answer.csv", "certainty", "exact?"), "is not that of"),
    "another account in the answer": (_say("account", "malee"), "cites a record that does not say so"),
    "another person in the answer": (_say("person", "มาลี"), "cites a record that does not say so"),
    "another address in the answer": (_say("inside_address", "10.0.0.8:5000"), "cites a record that does not say so"),
    "another outside port in the answer": (_say("public_address", "203.0.113.5:40001"), "does not say so"),
    "another session in the answer": (_say("session", "p-malee"), "cites a record that does not say so"),
    "another device in the answer": (_say("device", "02:00:00:00:00:02"), "cites a record that does not say so"),
    "a raw file": (_other_record, "is not made of the proven units"),
    "a raw file and its unit": (_other_unit, "is not under the records root"),
    "a field of a leaf": (_leaf_field, "does not prove that this leaf is in the log"),
    "a leaf without its proof": (
        lambda files: {key: data for key, data in files.items() if not key.endswith("proofs/0.tlog-proof")},
        "is missing",
    ),
    "units taken out": (_gap_hidden, ""),
    "completeness that is no JSON": (_with("data/completeness.json", b"none"), "is not JSON"),
    "a policy that trusts another log": (_with("data/logs/1/policy.txt", b"quorum none\n"), "does not trust the log"),
    "a policy that is none": (_with("data/logs/1/policy.txt", b"hello\n"), "is not a policy"),
    "a file in a log's folder": (_with("data/logs/1/notes.txt", b"x"), "is no file that a package has"),
    "a log that does not follow": (_with("data/logs/3/log.vkey", b"x"), "are not all there"),
    "a hundred signatures, signed": (_many_signatures, "at most 64 are read"),
    "a capture that nobody cites": (_with("data/pcap/1-2-1.pcap", b"x"), "is a raw file that is not cited"),
    "a million units": (
        _with("data/logs/1/units/2.jsonl", b'{"leaf":2}\n' * 10**6), "is not a unit with its proof",
    ),
    "a number of a thousand digits": (_cell("data/records.csv", "row", "9" * 1000), "cannot be read"),
    "JSON nested a hundred thousand deep": (
        _with("data/answer.json", b"[" * 100_000 + b"]" * 100_000), "is not JSON",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SIGNED_CHANGES)
def test_what_was_falsified_before_it_was_signed(name: str, lines: Made, tmp_path: Path) -> None:
    change, expected = SIGNED_CHANGES[name]
    files = resign(lines, change(lines.files))
    assert files[SIGNED] != lines.files[SIGNED], "the change changes nothing"
    fails(write_folder(tmp_path / "bag", files), expected)


def test_the_same_package_signed_anew_is_sound(lines: Made, tmp_path: Path) -> None:
    """What the falsified ones are compared with: signing anew alone breaks nothing."""
    verify_package(str(write_folder(tmp_path / "bag", resign(lines, lines.files))))


FLOW_CHANGES: dict[str, tuple[Callable[[Files], Files], str]] = {
    "an address": (_field("nat", "inside_address", "10.0.0.8"), "does not stand in its raw bytes"),
    "a port": (_field("nat", "outside_port_low", 40_001), "does not stand in its raw bytes"),
    "a flow's address": (_field("flow", "source_address", "10.0.0.8"), "does not stand in its raw bytes"),
    "an offset": (_cell("data/records.csv", "offset", "847", 2), ""),
    "a template": (_field("template", "template_id", 301), "is not the template"),
    "another answer": (_say("inside_address", "10.0.0.8:5000"), "cites a record that does not say so"),
}


@pytest.mark.parametrize("name", FLOW_CHANGES)
def test_flow_rows_falsified_before_they_were_signed(name: str, flows: Made, tmp_path: Path) -> None:
    change, expected = FLOW_CHANGES[name]
    fails(write_folder(tmp_path / "bag", resign(flows, change(flows.files))), expected)


RADIUS_CHANGES: dict[str, tuple[str, Any]] = {
    "an account": ("account", "malee"),
    "an address": ("address", "10.0.0.8"),
    "a session": ("session_id", "session-2"),
    "an event": ("event", "close"),
    "a device": ("nas_address", "192.0.2.9"),
    "a time": ("time_unix_ns", "1795000000000000000"),
    "a count of bytes": ("input_octets", 5),
}


@pytest.fixture(scope="module")
def accounted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A package whose session was told by accounting packets."""
    archive = package_log.PackageArchive(tmp_path_factory.mktemp("accounted"))
    archive.log.put("radius", ("radius-acct/udp-1813", accounting_request(1, "session-1")))
    archive.conntrack("NEW")
    at = archive.now_ns
    archive.log.clock.advance(5)
    archive.conntrack("DESTROY")
    answer = archive.who(at)
    yield Made(archive, answer, archive.package(answer))
    archive.close()


@pytest.mark.parametrize("name", RADIUS_CHANGES)
def test_accounting_rows_falsified_before_they_were_signed(name: str, accounted: Made, tmp_path: Path) -> None:
    verify_package(str(write_folder(tmp_path / "sound", accounted.files)))
    files = resign(accounted, _field("session", *RADIUS_CHANGES[name])(accounted.files))
    fails(write_folder(tmp_path / "bag", files), "does not say what its raw bytes say")


def _recaptured(data: bytes, payload: bytes) -> bytes:
    """A capture of one packet with another payload."""
    seconds, nanoseconds = struct.unpack_from("<II", data, 24)
    ports = struct.unpack_from(">HH", data, 60)
    address = bytes(10) + b"\xff\xff" + data[52:56]
    assert len(read_capture(data) or []) == 1
    return make_capture([(seconds * 10**9 + nanoseconds, address, *ports, payload)])


def _units_of_another(made: Made, files: Files, kind: str) -> Files:
    """A unit that no row cites, with a sound proof: another person's record of the same chunk."""
    archive = made.archive
    source = next(iter(archive.sources().source_logs().values()))
    cited = next(
        row
        for row in csv.DictReader(io.StringIO(files["data/records.csv"].decode("utf-8-sig")))
        if row["kind"] == kind
    )  # fmt: skip
    leaf, row = int(cited["leaf_index"]), int(cited["row"])
    name = f"data/logs/1/units/{leaf}.jsonl"
    here = {(unit.row, unit.offset) for unit in map(decode_unit_proof, files[name].splitlines(keepends=True))}
    others = [
        unit for n in range(row + 1) for unit in source.prove(leaf, n, None) if (unit.row, unit.offset) not in here
    ]
    changed = {**files, name: files[name] + others[-1].encode()}
    capture = cited["raw_file"]
    if capture.endswith(".pcap"):
        # The capture shows it too, as the package's own making would.
        own = [unit for unit in map(decode_unit_proof, changed[name].splitlines(keepends=True)) if unit.row == row]
        units = sorted((unit.offset, unit.data) for unit in own)
        changed[capture] = _recaptured(files[capture], reduce_datagram(units))
    return changed


@pytest.mark.parametrize(("which", "kind"), [("lines", "line"), ("flows", "flow")])
def test_a_unit_out_of_scope_that_was_smuggled_in(
    which: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Made = request.getfixturevalue(which)
    files = resign(made, _units_of_another(made, made.files, kind))
    folder = write_folder(tmp_path / "bag", files)
    fails(folder, "not cited")
    # It is that check alone that finds it: proof, raw file and signature are sound.
    monkeypatch.setattr(verifier, "_check_nothing_else", lambda *_: None)
    verify_package(str(folder))


def test_a_whole_datagram_in_the_capture(flows: Made, tmp_path: Path) -> None:
    """Bytes of others in a capture, without their units."""
    name = next(name for name in flows.files if name.endswith(".pcap"))
    payloads = read_capture(flows.files[name])
    assert payloads is not None
    (payload,) = payloads
    more = payload[:2] + struct.pack(">H", len(payload) + 24) + payload[4:] + b"somebody else's flow...."
    files = resign(flows, {**flows.files, name: _recaptured(flows.files[name], more)})
    fails(write_folder(tmp_path / "bag", files), "is not made of its proven units")


def test_a_proof_of_another_log(lines: Made, flows: Made, tmp_path: Path) -> None:
    other = {name: data for name, data in flows.files.items() if name.startswith("data/logs/")}
    files = {name: data for name, data in lines.files.items() if not name.startswith("data/logs/")}
    fails(write_folder(tmp_path / "bag", resign(lines, {**files, **other})), "is not the certificate")
    proof = "data/logs/1/proofs/0.tlog-proof"
    fails(write_folder(tmp_path / "two", resign(lines, {**lines.files, proof: flows.files[proof]})), "does not prove")


# Certificates, time stamps, keys that the reader knows


def _signed_by(files: Files, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Files:
    keys = LogKeys(Ed25519PrivateKey.generate(), key, certificate)
    changed = rebag({**files, "data/keys/package.crt": keys.certificate_pem()})
    return package_log.signed(
        {name: data for name, data in changed.items() if name not in _OUTSIDE_MANIFESTS}, keys, 1_795_000_000 * 10**9
    )


def test_a_foreign_signer(lines: Made, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = make_certificate(key, "phayan.test/foreign", datetime.datetime(2026, 1, 1, tzinfo=UTC))
    fails(write_folder(tmp_path / "bag", _signed_by(lines.files, key, certificate)), "is not the certificate")


def test_a_foreign_authority_is_refused_where_the_reader_names_one(lines: Made, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "p.zip", lines.files)
    own = load_certificates(lines.files["data/keys/package.crt"])
    verify_package(str(path), Options(ca=own))
    fails(path, "was not issued by", Options(ca=[issue("foreign", None, ca=True).certificate]))


def test_a_foreign_key_and_a_policy_of_the_readers_own(lines: Made, flows: Made, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "p.zip", lines.files)
    own, foreign = (one.files["data/logs/1/log.vkey"].decode().strip() for one in (lines, flows))
    verify_package(str(path), Options(log_key=own, policy=lines.files["data/logs/1/policy.txt"]))
    fails(path, "another key", Options(log_key=foreign))
    fails(path, "does not trust the log", Options(policy=flows.files["data/logs/1/policy.txt"]))
    demand = f"log {own}\nwitness w1 {_witness_key()}\nquorum w1\n".encode()
    fails(path, "has not the cosignatures", Options(policy=demand))


def _witness_key() -> str:
    from archive.cosignature import WitnessKey

    return WitnessKey("witness.example", Ed25519PrivateKey.generate().public_key().public_bytes_raw()).text()


def test_an_expired_certificate_counts_as_of_its_own_time_only(lines: Made, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "p.zip", lines.files)
    certificate = load_certificates(lines.files["data/keys/package.crt"])[0]
    late = certificate.not_valid_after_utc + datetime.timedelta(days=1)
    fails(path, "was not valid at", Options(at=late))
    signing = datetime.datetime.fromtimestamp(lines.archive.now_ns // 10**9, UTC)
    verify_package(str(path), Options(at=signing))
    assert main([str(path), "--at", late.isoformat()]) == 1
    assert main([str(path), "--at", signing.isoformat()]) == 0


def test_a_time_stamp_is_what_it_has_to_be(stamped: Made, authority: MadeAuthority, tmp_path: Path) -> None:
    said = verify_package(str(write_zip(tmp_path / "p.zip", stamped.files)))
    assert any("the signature existed at" in english for english, _ in said)
    signature = stamped.files[SIGNATURE]
    foreign = MadeAuthority("tsa-one", tmp_path / "foreign")
    other_usage = issue("no tsa", authority.root, usages=(x509.ObjectIdentifier("1.3.6.1.5.5.7.3.1"),))
    stated = authority.stated(authority.stamp(signature))
    cases = {
        "over other bytes": authority.stamp(signature + b"x"),
        "was not signed by an authority": foreign.stamp(signature),
        "is not a time stamp": authority.stamp(signature)[:-1],
        "was not signed by": authority.forge(stated, other_usage),
        "bytes behind": authority.stamp(signature) + b"\x00",
    }
    for expected, token in cases.items():
        fails(write_folder(tmp_path / hashlib.sha256(token).hexdigest(), {**stamped.files, TOKEN: token}), expected)
    # Without it the package is sound, and says that its time is not proven.
    said = verify_package(str(write_zip(tmp_path / "q.zip", _without(TOKEN)(stamped.files))))
    assert any("NOT PROVEN: when it was signed" in english for english, _ in said)


def test_wrong_arguments_are_no_verdict(lines: Made, tmp_path: Path) -> None:
    path = write_zip(tmp_path / "p.zip", lines.files)
    for arguments in (
        [], [str(path), str(path)], [str(path), "--ca"], [str(path), "--ca", str(path)], [str(path), "--at", "soon"],
        [str(path), "--at", "2026-11-20T00:00:00"], [str(path), "--what", "x"], [str(tmp_path / "nothing.zip")],
    ):  # fmt: skip
        assert main(arguments) == 2
