"""Packages as requests: names from callers, jobs over a restart, approvals used twice, arguments of any kind."""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ask_desk import AskDesk

import archive.ask.packages as packages
from archive.ask.audit import Actor
from archive.ask.packages import PackageDesk, PackageRequest
from archive.attribution.question import Question
from archive.errors import AskError
from archive.local_rpc import LocalServer, call_local
from archive.package.builder import BuiltPackage
from archive.package.signer import APPROVAL_EVENT, sign_package

CASE = "case-2026-0001"
WRONG_VALUES: list[Any] = [
    -1, 10**30, 1.5, "x", "²", "", None, True, [], {}, ["a"], "../../etc/passwd", "a\u0000b", "9" * 400, "-999999d",
    "0001-01-01", "2399-12-31", "é" * 300,
]  # fmt: skip
REFUSALS = {
    "bad_question", "bad_request", "bad_time", "bad_query", "bad_address", "bad_port", "no_such_package",
    "no_such_record", "reason_missing", "busy", "archive_format", "too_wide", "no_case", "no_such_case",
}  # fmt: skip
ARGUMENTS = {
    "who": ("address", "port", "protocol", "to", "at", "tolerance_seconds", "realm", "reason"),
    "search": ("query", "since", "until", "limit", "reason"),
    "record": ("leaf_index", "row", "reason"),
    "package_fetch": ("id", "offset"),
    "package_create": ("address", "port", "at", "title", "case"),
}
SOUND: dict[str, dict[str, Any]] = {
    "who": {"address": "203.0.113.5"},
    "record": {"leaf_index": 0, "row": 0},
    "package_fetch": {"id": "2026-11-20-abcdef"},
    "package_create": {"address": "203.0.113.5", "reason": ""},
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AskDesk]:
    made = AskDesk(tmp_path_factory.mktemp("desk"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def socket_path(shared: AskDesk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("socket") / "ask.sock"
    server = LocalServer(path, shared.handlers)
    server.start()
    yield path
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("op", "name"), [(op, name) for op, names in ARGUMENTS.items() for name in names])
def test_no_argument_whatever_fails_inside(socket_path: Path, op: str, name: str) -> None:
    refused = {}
    for value in WRONG_VALUES:
        try:
            call_local(socket_path, op, **{**SOUND.get(op, {}), name: value})
        except AskError as error:
            refused[repr(value)[:40]] = error.code
    assert {value: code for value, code in refused.items() if code not in REFUSALS} == {}


def test_half_a_character_and_numbers_that_are_none_are_refused(socket_path: Path) -> None:
    for value in ("\ud800", float("nan"), float("inf")):
        try:
            call_local(socket_path, "search", query=value)
            code = ""
        except AskError as error:
            code = error.code
        except UnicodeEncodeError:
            code = "bad_request"
        assert code == "bad_request"


def test_a_question_too_long_to_be_recorded_is_refused(shared: AskDesk) -> None:
    with pytest.raises(AskError) as caught:
        shared.ask("search", query="x" * 10_000_000)
    assert caught.value.code == "bad_question"
    shared.ask("search", query="x")


@pytest.mark.parametrize("name", ["../outside", "..", "/etc/passwd", "2026-11-20-abcdef/../../outside", "x\0y", ""])
def test_a_package_is_named_by_its_number_only(shared: AskDesk, name: str) -> None:
    outside = shared.log.paths.directory / "outside"
    outside.with_suffix(".zip").write_bytes(b"secret")
    outside.with_suffix(".json").write_text('{"sha256": "", "state": "ready"}')
    with pytest.raises(AskError) as caught:
        shared.ask("package_fetch", id=name)
    assert caught.value.code == "no_such_package"


def _package_desk(desk: AskDesk) -> PackageDesk:
    return desk.open_packages(desk.desk.auditor, FakeCases())


class FakeCases:
    """A desk of cases that allows `case-2026-0001` everything and keeps what it is told."""

    def __init__(self) -> None:
        self.packages: list[tuple[str, str, str, dict[str, int]]] = []
        self.downloads: list[str] = []

    def check_export(self, actor: Actor, case_id: str, question: Question) -> dict[str, Any]:
        if case_id != CASE:
            raise AskError(f"there is no case {case_id}", code="no_such_case")
        return {"id": case_id, "one_person": False, "approver": "prasit"}

    def record_package(
        self, actor: Actor, case_id: str, package_id: str, sha256: str, counts: Mapping[str, int]
    ) -> None:
        self.packages.append((case_id, package_id, sha256, dict(counts)))

    def record_download(self, actor: Actor, package_id: str, **values: Any) -> None:
        self.downloads.append(package_id)


def _request(answer: Callable[[], dict[str, Any]], reason: str = "letter 1/2569", case: str = CASE) -> PackageRequest:
    return PackageRequest(Question(at_unix_ns=10**18, address=bytes(16)), answer, case, "title", reason)


def test_a_job_that_a_restart_cut_off_is_shown_as_failed(shared: AskDesk) -> None:
    go_on = threading.Event()

    def answer() -> dict[str, Any]:
        go_on.wait(20)
        raise AskError("no answer", code="nothing_to_package")

    actor = Actor("malee", "administrator")
    first = _package_desk(shared)
    identifier = first.create(actor, _request(answer))["id"]
    record = shared.log.paths.directory / "packages" / f"{identifier}.json"
    for _ in range(200):
        if record.exists():
            break
        threading.Event().wait(0.02)
    after_restart = {job["id"]: job for job in _package_desk(shared).list()["packages"]}
    assert after_restart[identifier]["state"] == "failed"
    assert after_restart[identifier]["message"]
    assert {job["id"]: job for job in first.list()["packages"]}[identifier]["state"] == "building"
    with pytest.raises(AskError):
        first.fetch(actor, identifier, 0)
    go_on.set()


def test_a_package_needs_a_case_that_allows_it_and_a_reason(shared: AskDesk) -> None:
    desk, actor = _package_desk(shared), Actor("malee", "administrator")
    refused = (({"case": ""}, "no_case"), ({"case": "x"}, "no_such_case"), ({"reason": " "}, "reason_missing"))
    for changed, code in refused:
        with pytest.raises(AskError) as caught:
            desk.create(actor, _request(dict, **changed))
        assert caught.value.code == code


def test_only_a_few_packages_are_made_at_a_time(shared: AskDesk) -> None:
    go_on = threading.Event()

    def answer() -> dict[str, Any]:
        go_on.wait(20)
        raise AskError("no answer", code="nothing_to_package")

    desk = _package_desk(shared)
    actor = Actor("malee", "administrator")
    for _ in range(packages.MAX_BUILDING):
        desk.create(actor, _request(answer))
    with pytest.raises(AskError) as caught:
        desk.create(actor, _request(answer))
    assert caught.value.code == "busy"
    go_on.set()


def test_the_first_slice_of_anybody_is_a_download_whatever_its_offset(
    shared: AskDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = FakeCases()
    desk = shared.open_packages(shared.desk.auditor, cases)
    monkeypatch.setattr(desk._store, "slice", lambda identifier, offset: {"sha256": "ab", "offset": offset})
    for name, offset in (("malee", 1), ("malee", 300), ("aud", 5), ("malee", 0), ("aud", 6)):
        desk.fetch(Actor(name, "auditor"), "p", offset)
    assert cases.downloads == ["p"] * 3
    desk.fetch(Actor("malee", "auditor"), "q", 7)
    assert cases.downloads[3:] == ["q"]


@pytest.mark.parametrize("changed", ["closed", "approved"])
def test_what_the_case_allows_is_looked_at_again_before_the_approval(
    shared: AskDesk, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    class Changing(FakeCases):
        asked: list[Question]

        def check_export(self, actor: Actor, case_id: str, question: Question) -> dict[str, Any]:
            self.asked.append(question)
            if len(self.asked) > 1 and changed == "closed":
                raise AskError("closed meanwhile", code="case_closed")
            return {**super().check_export(actor, case_id, question), "approved": str(len(self.asked))}

    cases = Changing()
    cases.asked = []
    desk = shared.open_packages(shared.desk.auditor, cases)
    monkeypatch.setattr(desk, "_build", lambda *_: BuiltPackage({"tagmanifest-sha256.txt": b""}, None))  # type: ignore[arg-type]
    request = _request(lambda: {"candidates": [1]})
    identifier = desk.create(Actor("malee", "administrator"), request)["id"]
    for thread in threading.enumerate():
        if thread.name == f"package-{identifier}":
            thread.join(20)
    (job,) = [one for one in desk.list()["packages"] if one["id"] == identifier]
    assert job["state"] == "failed"
    assert ("closed meanwhile" if changed == "closed" else "approved anew") in job["message"]
    assert cases.asked == [request.question] * 2
    assert not [record for record in shared.audit() if identifier in str(record)]


def test_a_moment_relative_to_now_is_read_once(shared: AskDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[PackageRequest] = []
    monkeypatch.setattr(shared.desk.packages, "create", lambda actor, request: made.append(request))
    shared.ask("package_create", address="203.0.113.5", at="-1h", reason="letter", case=CASE)
    before = made[0].ask_again()["asked"]
    shared.log.clock.advance(600)
    assert made[0].ask_again()["asked"] == before


def test_an_approval_signs_the_bytes_it_names_and_no_others(tmp_path: Path) -> None:
    desk = AskDesk(tmp_path)
    try:
        approved, other = b"0" * 64 + b"  bagit.txt\n", b"1" * 64 + b"  bagit.txt\n"
        digest = hashlib.sha256(approved).hexdigest()
        desk.desk.auditor.record(Actor("malee", "auditor"), APPROVAL_EVENT, {"tag_manifest_sha256": digest}, "letter")
        desk.desk.auditor.record(Actor("malee", "auditor"), "search", {"tag_manifest_sha256": digest}, "letter")
        log = desk.log
        keys = log.keys
        desk.audit_writer.close()
        log.clock.advance(1)
        log._sealer.run_once()
        leaf, rows = _last_audit_leaf(desk)
        place = {"approval_leaf_index": leaf, "approval_row": rows.index(APPROVAL_EVENT)}

        def sign(data: bytes, **changed: Any) -> Any:
            encoded = base64.b64encode(data).decode()
            return sign_package(log.paths, keys, log.clock, {"tag_manifest_base64": encoded, **place, **changed})

        assert sign(approved)["signature_base64"]
        for data, changed in (
            (other, {}),
            (approved, {"approval_row": rows.index("search")}),
            (approved, {"approval_leaf_index": 0}),
            (approved, {"approval_leaf_index": 10**12}),
            (approved, {"approval_leaf_index": -1}),
            (b"", {}),
        ):
            with pytest.raises(AskError) as caught:
                sign(data, **changed)
            assert caught.value.code == "not_approved"
        for changed in ({"approval_row": "0"}, {"approval_row": None}, {"tag_manifest_base64": "%"}):
            with pytest.raises(AskError) as caught:
                sign(approved, **changed)
            assert caught.value.code == "bad_request"
    finally:
        desk.close()


def _last_audit_leaf(desk: AskDesk) -> tuple[int, list[str]]:
    """Index of the audit stream's last chunk and the event of each of its records."""
    from archive.chunk import decode_chunk
    from archive.index.checkpoint import read_checkpoint
    from archive.index.worker import stored_chunk
    from archive.leaf import decode_leaf
    from archive.segment import read_stored_chunk
    from archive.tree import TreeReader

    size = read_checkpoint(desk.log.paths).size
    reader = TreeReader(desk.log.paths.log, size)
    for index in range(size - 1, -1, -1):
        leaf = decode_leaf(reader.leaf(index))
        if leaf.get("stream") == "audit" and "segment" in leaf:
            table = decode_chunk(read_stored_chunk(desk.log.paths.segments, stored_chunk(leaf)))
            return index, [json.loads(payload)["event"] for payload in table.column("payload").to_pylist()]
    raise AssertionError("no audit record is sealed")
