"""Before its first signature the sealer compares its head with those kept outside; a machine put back signs nothing."""

import json
import shutil
from pathlib import Path

import pytest
from small_log import SmallLog

from archive.anchor.judgement import COPY, WITNESS, OutsideHead
from archive.anchor.outside_heads import FOUND_FILE, WANTED_FILE
from archive.note import Checkpoint, parse_verifier_key, sign_checkpoint
from archive.sealing.first_head import ANSWER_SECONDS, ASK_AGAIN_SECONDS, FirstHead
from archive.sealing.machine import machine_file, remember_machine


def grow(log: SmallLog) -> None:
    sealer = log.sealer()
    sealer.run_once()
    sealer.publish()
    log.drop_sealer(sealer)
    log.clock.advance(1)


def gate_of(log: SmallLog, *, has_sources: bool = True) -> FirstHead:
    key = parse_verifier_key((log.paths.log / "key.vkey").read_text().strip())
    return FirstHead(log.paths, key, log.clock, has_sources=has_sources)


def answer(log: SmallLog, *heads: OutsideHead) -> None:
    wanted = json.loads((log.paths.run / WANTED_FILE).read_text())
    values = {"nonce": wanted["nonce"], "sources": [vars(head) for head in heads]}
    (log.paths.run / FOUND_FILE).write_text(json.dumps(values))


def head_of(log: SmallLog) -> str:
    return log.paths.head.read_text()


def test_without_witness_and_copy_nothing_is_asked(small_log: SmallLog) -> None:
    assert gate_of(small_log, has_sources=False).is_allowed()
    assert not (small_log.paths.run / WANTED_FILE).exists()


def test_the_same_head_outside_allows_signing(small_log: SmallLog) -> None:
    grow(small_log)
    gate = gate_of(small_log)
    assert not gate.is_allowed()
    assert gate.problem
    answer(small_log, OutsideHead("w", WITNESS, head_of(small_log)))
    assert gate.is_allowed()
    assert gate.problem == ""
    assert machine_file(small_log.paths).exists()


def test_an_older_head_of_this_log_outside_allows_signing(small_log: SmallLog) -> None:
    older = head_of(small_log)
    grow(small_log)
    gate = gate_of(small_log)
    gate.is_allowed()
    answer(small_log, OutsideHead("w", WITNESS, older), OutsideHead("new", WITNESS, None))
    assert gate.is_allowed()


def test_a_snapshot_of_yesterday_signs_nothing_until_a_person_chooses(small_log: SmallLog, tmp_path: Path) -> None:
    grow(small_log)
    shutil.copytree(small_log.paths.directory, tmp_path / "snapshot")
    shutil.copy(small_log.paths.head, tmp_path / "head")
    grow(small_log)
    newest = head_of(small_log)
    # The whole machine is put back: the head file beside the data as well.
    shutil.rmtree(small_log.paths.directory)
    shutil.copytree(tmp_path / "snapshot", small_log.paths.directory)
    shutil.copy(tmp_path / "head", small_log.paths.head)
    gate = gate_of(small_log)
    gate.is_allowed()
    answer(
        small_log, OutsideHead("witness of the province", WITNESS, newest), OutsideHead("usb", COPY, None, "not there")
    )
    assert not gate.is_allowed()
    assert gate.code == "outside_head_ahead"
    assert "witness of the province" in gate.problem
    assert "--why restored" in gate.problem
    for _ in range(3):
        small_log.clock.advance(ASK_AGAIN_SECONDS)
        gate.is_allowed()
        answer(small_log, OutsideHead("witness of the province", WITNESS, newest))
        assert not gate.is_allowed()
    assert small_log.paths.head.read_bytes() == (tmp_path / "head").read_bytes()


@pytest.mark.parametrize("size_change", [0, -1])
def test_another_root_of_a_size_we_have_is_a_fork(small_log: SmallLog, size_change: int) -> None:
    grow(small_log)
    grow(small_log)
    size = int(head_of(small_log).split("\n")[1]) + size_change
    forked = sign_checkpoint(Checkpoint("phayan.test/small", size, bytes(32)), small_log.keys.checkpoint)
    gate = gate_of(small_log)
    gate.is_allowed()
    answer(small_log, OutsideHead("w", WITNESS, forked.decode()))
    assert not gate.is_allowed()
    assert gate.code == "outside_head_forked"


def test_nobody_reached_on_the_same_machine_allows_signing(small_log: SmallLog) -> None:
    remember_machine(small_log.paths)
    gate = gate_of(small_log)
    gate.is_allowed()
    answer(small_log, OutsideHead("w", WITNESS, None, "no route to host"))
    assert gate.is_allowed()


def test_nobody_reached_on_another_machine_signs_nothing_until_one_is(small_log: SmallLog) -> None:
    remember_machine(small_log.paths)
    machine_file(small_log.paths).write_text("another machine\n")
    gate = gate_of(small_log)
    gate.is_allowed()
    answer(small_log, OutsideHead("w", WITNESS, None, "no route to host"))
    assert not gate.is_allowed()
    assert gate.code == "outside_heads_unreachable"
    small_log.clock.advance(ASK_AGAIN_SECONDS)
    assert not gate.is_allowed()
    answer(small_log, OutsideHead("w", WITNESS, head_of(small_log)))
    assert gate.is_allowed()


def test_a_person_may_say_that_the_machine_is_right(small_log: SmallLog) -> None:
    machine_file(small_log.paths).write_text("another machine\n")
    gate = gate_of(small_log)
    gate.is_allowed()
    answer(small_log, OutsideHead("w", WITNESS, None, "down"))
    assert not gate.is_allowed()
    remember_machine(small_log.paths)
    small_log.clock.advance(ASK_AGAIN_SECONDS)
    gate.is_allowed()
    answer(small_log, OutsideHead("w", WITNESS, None, "down"))
    assert gate.is_allowed()


def test_no_answer_at_all_is_nobody_reached(small_log: SmallLog) -> None:
    machine_file(small_log.paths).write_text("another machine\n")
    gate = gate_of(small_log)
    assert not gate.is_allowed()
    small_log.clock.advance(ANSWER_SECONDS - 1)
    assert not gate.is_allowed()
    assert gate.code == ""
    small_log.clock.advance(2)
    assert not gate.is_allowed()
    assert gate.code == "outside_heads_unreachable"


@pytest.mark.parametrize("text", ["", "no note", "phayan.test/small\n3\nAAAA\n\n— x AAAA\n"])
def test_a_foreign_head_decides_nothing(small_log: SmallLog, text: str) -> None:
    machine_file(small_log.paths).write_text("another machine\n")
    gate = gate_of(small_log)
    gate.is_allowed()
    answer(small_log, OutsideHead("w", WITNESS, text))
    assert not gate.is_allowed()
    assert gate.code == "outside_heads_unreachable"


def test_an_answer_to_an_older_question_is_not_read(small_log: SmallLog) -> None:
    gate = gate_of(small_log)
    gate.is_allowed()
    values = {"nonce": "00" * 16, "sources": [vars(OutsideHead("w", WITNESS, head_of(small_log)))]}
    (small_log.paths.run / FOUND_FILE).write_text(json.dumps(values))
    assert not gate.is_allowed()
