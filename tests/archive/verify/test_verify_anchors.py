"""Outside evidence: in anchor leaves, given on the command line, and kept in DIR/anchors."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import archive.verify.anchors as anchors_module
import archive.verify.evidence as evidence_module
from archive.errors import ArchiveIntegrityError
from archive.verify.anchors import Trust
from archive.verify.report import Report
from archive.verify.run import verify_archive
from tests.archive.verify.hand_made_log import HandMadeLog, HandMadeWitness, put

WITNESS = HandMadeWitness("witness.example/a")
OTHER = HandMadeWitness("witness.example/b")
TRUST = Trust((WITNESS.vkey, OTHER.vkey))
STAMPED_UNIX_NS = 1_795_000_500 * 10**9


def verify(log: HandMadeLog, *checkpoints: bytes, **options: Any) -> Report:
    return verify_archive(log.directory, log.head_path, checkpoints=checkpoints, **options)


def codes(report: Report) -> list[str]:
    return [defect.code for defect in report.defects]


def statements(report: Report) -> set[str]:
    return {statement.code for statement in report.statements}


def test_anchor_leaves_of_trusted_witnesses_give_freshness(archive: HandMadeLog) -> None:
    archive.append_witnessed(OTHER, 350)
    leaf = archive.append_witnessed(WITNESS, 600)
    archive.append_heartbeat()
    report = verify(archive.publish(), trust=TRUST)
    assert (report.exit_code, report.defects) == (0, [])
    assert report.freshness.startswith("unchanged up to leaf 600, seen by witness.example/a at 2026-11-")
    assert "freshness_unproven" not in statements(report)
    newest = {found["name"]: found for found in report.anchors}
    unix_ns = json.loads(archive.leaves[leaf])["unix_ns"]
    expected = {"by": "witness", "name": WITNESS.name, "size": 600, "unix_ns": unix_ns, "leaf": leaf}
    assert newest[WITNESS.name] == {**expected, "evidence": "verified"}
    assert newest[OTHER.name]["size"] == 350


def test_untrusted_witness_is_named_as_not_checked(archive: HandMadeLog) -> None:
    archive.append_witnessed(WITNESS, 600)
    for trust in (None, Trust((OTHER.vkey,))):
        report = verify(archive.publish(), trust=trust)
        assert (report.exit_code, report.freshness) == (0, "unproven")
        assert {"anchor_not_checked", "freshness_unproven"} <= statements(report)
        assert report.anchors[0]["evidence"] == "not checked: key unknown"
        assert "not checked: key unknown" in report.to_text()


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 700])
def test_heads_of_every_shape_are_found_in_the_tree(archive: HandMadeLog, size: int) -> None:
    archive.append_witnessed(WITNESS, size)
    assert verify(archive.publish(), trust=TRUST).freshness.startswith(f"unchanged up to leaf {size},")


def rewritten(archive: HandMadeLog, leaf: int) -> HandMadeLog:
    """The same log with another leaf, signed by the same key, and the same anchors."""
    values = json.loads(archive.leaves[leaf])
    archive.leaves[leaf] = archive.leaves[leaf].replace(
        f'"monotonic_ns":"{values["monotonic_ns"]}"'.encode(), b'"monotonic_ns":"77"'
    )
    return archive.publish()


def test_history_rewritten_with_the_real_key_contradicts_its_anchors(archive: HandMadeLog) -> None:
    """Before the rewritten leaf all anchors agree; the first defect says between which two it was."""
    anchors = {size: archive.append_witnessed(WITNESS, size) for size in (250, 367, 368, 600, 700)}
    assert json.loads(archive.leaves[367])["kind"] == "heartbeat"
    report = verify(rewritten(archive, 367), trust=TRUST)
    assert set(codes(report)) == {"anchor_contradicts"}
    assert [defect.leaf for defect in report.defects] == [anchors[size] for size in (368, 600, 700)]
    assert "before 367 agree" in report.defects[0].message
    assert "of 368 leaves" in report.defects[0].message
    assert "367" in report.defects[0].message_th
    assert report.freshness.startswith("unchanged up to leaf 367,")


def test_two_sided_time_is_in_the_json(archive: HandMadeLog) -> None:
    leaf = archive.append_witnessed(WITNESS, 600)
    shown = json.loads(verify(archive.publish(), trust=TRUST).to_json())
    assert [(found["size"], found["leaf"]) for found in shown["anchors"]] == [(600, leaf)]


def foreign(archive: HandMadeLog) -> HandMadeLog:
    other = HandMadeLog(archive.directory.with_name("other"), seed=9)
    other.leaves = archive.leaves
    return other


ODD_ANCHORS: dict[str, tuple[Callable[[HandMadeLog], object], str]] = {
    "head newer than the leaf": (lambda a: a.append_witnessed(WITNESS, 700, of=longer(a)), "anchor_checkpoint"),
    "head of another key": (lambda a: a.append_witnessed(WITNESS, 600, of=foreign(a)), "anchor_checkpoint"),
    "cosigned checkpoint": (
        lambda a: a.append_witnessed(
            WITNESS, 600, checkpoint=(a.checkpoint(600) + WITNESS.cosign(a.checkpoint(600), 5)).decode()
        ),
        "anchor_checkpoint",
    ),
    "no checkpoint": (lambda a: a.append_witnessed(WITNESS, 600, checkpoint="x"), "anchor_checkpoint"),
    "another time": (lambda a: a.append_witnessed(WITNESS, 600, unix_ns="1"), "anchor_evidence"),
    "another name": (lambda a: a.append_witnessed(WITNESS, 600, name="x"), "anchor_evidence"),
    "another key": (lambda a: a.append_witnessed(WITNESS, 600, vkey=OTHER.vkey), "anchor_evidence"),
    "log key for witness key": (lambda a: a.append_witnessed(WITNESS, 600, vkey=a.vkey), "anchor_evidence"),
    "over another head": (
        lambda a: a.append_witnessed(WITNESS, 600, checkpoint=a.checkpoint(599).decode()),
        "anchor_evidence",
    ),
    "no signature line": (lambda a: a.append_witnessed(WITNESS, 600, evidence="x"), "anchor_evidence"),
    "key of an authority": (
        lambda a: a.append_stamped("tsa", 600, b"token", STAMPED_UNIX_NS, vkey=WITNESS.vkey),
        "anchor_evidence",
    ),
    "token that is no base64": (
        lambda a: a.append_stamped("tsa", 600, b"token", STAMPED_UNIX_NS, evidence="tok"),
        "anchor_evidence",
    ),
    "by somebody else": (lambda a: a.append_witnessed(WITNESS, 600, by="friend"), "leaf_fields"),
}


def longer(archive: HandMadeLog) -> HandMadeLog:
    """The same log with the anchor's place already filled."""
    copy = HandMadeLog(archive.directory.with_name("longer"), archive.seed)
    copy.leaves = [*archive.leaves[:650], b"{}", *archive.leaves[650:]]
    return copy


@pytest.mark.parametrize("case", ODD_ANCHORS)
def test_anchor_leaf_that_is_not_what_it_claims_is_found(archive: HandMadeLog, case: str) -> None:
    append, code = ODD_ANCHORS[case]
    if case == "head newer than the leaf":
        archive.leaves = archive.leaves[:699]
    place = len(archive.leaves)
    append(archive)
    found = [(d.code, d.leaf) for d in verify(archive.publish(), trust=TRUST).defects]
    assert (code, place) in found


def test_every_flip_in_the_evidence_is_found(archive: HandMadeLog) -> None:
    line = archive.append_witnessed(WITNESS, 600)
    fields = json.loads(archive.leaves.pop(line))
    blob = base64.b64decode(fields["evidence"].rpartition(" ")[2])
    for place in range(len(blob)):
        damaged = bytearray(blob)
        damaged[place] ^= 1
        evidence = f"\u2014 {WITNESS.name} {base64.b64encode(damaged).decode()}"
        archive.append(
            "anchor", **{n: v for n, v in fields.items() if n not in ("v", "kind", "log")} | {"evidence": evidence}
        )
        assert codes(verify(archive.publish(), trust=TRUST)) == ["anchor_evidence"], place
        archive.leaves.pop()


@dataclass(frozen=True)
class FakeAuthority:
    name: str = "tsa"


@pytest.fixture
def stamping(monkeypatch: pytest.MonkeyPatch) -> Trust:
    """An authority whose time stamp of `data` is `b"stamp:" + data`; what tokens are is archive.timestamp's matter."""

    def verify_time_stamp(response: bytes, data: bytes, authority: FakeAuthority) -> int:
        if response != b"stamp:" + data:
            raise ArchiveIntegrityError("the time stamp is over other bytes")
        return STAMPED_UNIX_NS

    monkeypatch.setattr(anchors_module, "verify_time_stamp", verify_time_stamp)
    monkeypatch.setattr(evidence_module, "verify_time_stamp", verify_time_stamp)
    return Trust((WITNESS.vkey,), (FakeAuthority(),))  # type: ignore[arg-type]


def test_anchor_leaves_of_a_trusted_authority(archive: HandMadeLog, stamping: Trust) -> None:
    archive.append_stamped("tsa", 600, b"stamp:" + archive.checkpoint(600), STAMPED_UNIX_NS)
    archive.append_stamped("elsewhere", 610, b"stamp:" + archive.checkpoint(610), STAMPED_UNIX_NS)
    report = verify(archive.publish(), trust=stamping)
    assert (report.exit_code, report.freshness[:36]) == (0, "unchanged up to leaf 600, seen by ts")
    assert "anchor_not_checked" in statements(report)
    archive.append_stamped("tsa", 600, b"stamp:" + archive.checkpoint(601), STAMPED_UNIX_NS)
    assert codes(verify(archive.publish(), trust=stamping)) == ["anchor_evidence"]


def test_given_time_stamp_over_a_given_checkpoint(archive: HandMadeLog, stamping: Trust) -> None:
    note = archive.checkpoint(600)
    cosigned = note + WITNESS.cosign(note, 1_795_000_000)
    for stamped in (note, cosigned):
        report = verify(archive, cosigned, tokens=[b"stamp:" + stamped], trust=stamping)
        assert report.exit_code == 0
        assert {found["by"] for found in report.anchors} == {"given", "witness", "timestamp_authority"}
    assert codes(verify(archive, note, tokens=[b"stamp:" + archive.checkpoint(601)], trust=stamping)) == ["token_wrong"]
    assert codes(verify(archive, tokens=[b"stamp:" + note], trust=stamping)) == ["token_wrong"]
    report = verify(archive, note, tokens=[b"stamp:" + note])
    assert (report.exit_code, "token_not_checked" in statements(report)) == (0, True)


def test_given_checkpoint_with_cosignatures_says_who_and_when(archive: HandMadeLog) -> None:
    note = archive.checkpoint(600)
    report = verify(
        archive, note + WITNESS.cosign(note, 1_795_000_000) + OTHER.cosign(note, 5), trust=Trust((WITNESS.vkey,))
    )
    assert (report.exit_code, report.defects) == (0, [])
    assert report.freshness == "unchanged up to leaf 600, seen by witness.example/a at 2026-11-18T11:06:40.000+00:00"
    assert {"anchored", "anchored_by"} <= statements(report)
    bad = note + WITNESS.cosign(archive.checkpoint(601), 1_795_000_000)
    assert codes(verify(archive, bad, trust=TRUST)) == ["cosignature_wrong"]


def test_several_given_checkpoints_are_each_judged(archive: HandMadeLog) -> None:
    other = [*archive.leaves[:400], b"{}", *archive.leaves[401:]]
    report = verify(archive, archive.checkpoint(350), archive.checkpoint(650, other), archive.checkpoint(500, other))
    assert codes(report) == ["anchor_inconsistent"] * 2
    assert "none of them before leaf 350" in report.defects[0].message
    assert report.freshness == "unchanged up to leaf 350"


def retain(archive: HandMadeLog, note: bytes, name: str) -> None:
    put(archive.directory / "anchors" / name, note)


def test_retained_copies_are_inside_evidence_alone(archive: HandMadeLog) -> None:
    retain(archive, archive.checkpoint(600), "600.checkpoint")
    report = verify(archive)
    assert (report.exit_code, report.freshness) == (0, "unproven")
    note = archive.checkpoint(650)
    retain(archive, note + WITNESS.cosign(note, 1_795_000_000), "650.checkpoint")
    assert verify(archive, trust=TRUST).freshness.startswith("unchanged up to leaf 650, seen by witness.example/a")


def test_log_cut_with_its_retained_copies_left_is_found(archive: HandMadeLog) -> None:
    retain(archive, archive.checkpoint(700), "700.checkpoint")
    archive.publish(600)
    [defect] = verify(archive).defects
    assert (defect.code, defect.file) == ("retained_ahead", "anchors/700.checkpoint")


def test_retained_copy_of_another_history_or_form_is_found(archive: HandMadeLog) -> None:
    other = [*archive.leaves[:400], b"{}", *archive.leaves[401:]]
    retain(archive, archive.checkpoint(500, other), "500.checkpoint")
    assert codes(verify(archive)) == ["retained_inconsistent"]
    for note, name in (
        (archive.checkpoint(500), "501.checkpoint"),
        (archive.checkpoint(500)[:-1], "500.checkpoint"),
        (foreign(archive).checkpoint(500), "500.checkpoint"),
        (archive.checkpoint(500), "x.checkpoint"),
    ):
        for path in (archive.directory / "anchors").glob("*"):
            path.unlink()
        retain(archive, note, name)
        assert codes(verify(archive)) == ["retained_damaged"]


def test_trusted_key_that_is_none_could_not_run(archive: HandMadeLog) -> None:
    assert verify(archive, trust=Trust(("x",))).exit_code == 2


def test_root_of_an_older_size_comes_from_the_leaves_where_the_tile_was_changed(
    archive: HandMadeLog, tmp_path: Path
) -> None:
    tile = archive.log / "tile" / "0" / "001"
    tile.write_bytes(bytes([tile.read_bytes()[0] ^ 1]) + tile.read_bytes()[1:])
    report = verify(archive, archive.checkpoint(300))
    assert codes(report) == ["tile_damaged"]
    assert report.freshness == "unchanged up to leaf 300"
