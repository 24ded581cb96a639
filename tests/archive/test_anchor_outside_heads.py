"""The sealer asks which heads are kept outside, the anchor process answers, the sealer judges."""

import json
import threading
from pathlib import Path

import pytest

from archive.anchor.judgement import OutsideHead, judge_heads
from archive.anchor.outside_heads import (
    CopySource,
    WitnessSource,
    answer_wanted,
    ask_for_heads,
    read_found,
)
from archive.merkle import tree_root
from archive.note import MAX_NOTE_BYTES, Checkpoint, sign_checkpoint
from archive.tree import TreeReader
from tests.archive.published_log import MemoryWitness, PublishedByHand, private_key, unreachable
from tests.clocks import ManualClock


@pytest.fixture
def log(tmp_path: Path) -> PublishedByHand:
    log = PublishedByHand(tmp_path / "data")
    log.grow(4)
    return log


def witness_of(log: PublishedByHand, name: str = "witness.example/one") -> MemoryWitness:
    return MemoryWitness(log.key, ManualClock(), name)


class TestExchange:
    """Two files in `DIR/run`."""

    def test_round_trip(self, log: PublishedByHand, tmp_path: Path) -> None:
        witness = witness_of(log)
        witness.add_checkpoint(log.note, 0, lambda _: [])
        silent = witness_of(log, "witness.example/silent")
        silent.before = unreachable
        without = witness_of(log, "witness.example/new")
        (tmp_path / "copy").write_bytes(log.note)
        sources = [
            WitnessSource(witness.name, witness),
            WitnessSource(silent.name, silent),
            WitnessSource(without.name, without),
            CopySource(tmp_path / "copy"),
            CopySource(tmp_path / "not-mounted"),
        ]
        assert not answer_wanted(log.paths, sources), "nobody has asked"
        nonce = ask_for_heads(log.paths, log.origin)
        assert read_found(log.paths, nonce) is None
        assert answer_wanted(log.paths, sources)
        note = log.note.decode()
        assert read_found(log.paths, nonce) == [
            OutsideHead(witness.name, "witness", note),
            OutsideHead(silent.name, "witness", None, "no route"),
            OutsideHead(without.name, "witness", None),
            OutsideHead(str(tmp_path / "copy"), "copy", note),
            OutsideHead(
                str(tmp_path / "not-mounted"),
                "copy",
                None,
                f"{tmp_path / 'not-mounted'} cannot be read: No such file or directory",
            ),
        ]
        assert not answer_wanted(log.paths, sources), "it is answered"

    def test_without_sources_the_answer_is_empty(self, log: PublishedByHand) -> None:
        nonce = ask_for_heads(log.paths, log.origin)
        assert answer_wanted(log.paths, [])
        assert read_found(log.paths, nonce) == []

    def test_an_answer_to_an_earlier_question_does_not_count(self, log: PublishedByHand) -> None:
        first = ask_for_heads(log.paths, log.origin)
        answer_wanted(log.paths, [])
        left = (log.paths.run / "heads-found.json").read_bytes()
        second = ask_for_heads(log.paths, log.origin)
        assert not (log.paths.run / "heads-found.json").exists()
        (log.paths.run / "heads-found.json").write_bytes(left)
        assert read_found(log.paths, second) is None
        assert read_found(log.paths, first) == []

    def test_a_source_that_hangs_is_said_and_the_others_answer(self, log: PublishedByHand) -> None:
        hanging, release = witness_of(log), threading.Event()
        hanging.before = lambda: release.wait(60) and None
        good = witness_of(log, "witness.example/two")
        good.add_checkpoint(log.note, 0, lambda _: [])
        nonce = ask_for_heads(log.paths, log.origin)
        try:
            sources = [WitnessSource(hanging.name, hanging), WitnessSource(good.name, good)]
            assert answer_wanted(log.paths, sources, answer_seconds=0.2)
        finally:
            release.set()
        found = read_found(log.paths, nonce)
        assert found is not None
        assert found[0].error is not None
        assert "0.2 s" in found[0].error
        assert found[1].checkpoint == log.note.decode()

    def test_any_fault_of_a_source_is_said(self, log: PublishedByHand, tmp_path: Path) -> None:
        class Broken:
            name, kind = "broken", "witness"

            def newest(self, origin: str) -> str | None:
                raise ZeroDivisionError("ours")

        (tmp_path / "long").write_bytes(b"x" * (MAX_NOTE_BYTES + 1))
        nonce = ask_for_heads(log.paths, log.origin)
        answer_wanted(log.paths, [Broken(), CopySource(tmp_path / "long"), CopySource(tmp_path)])
        found = read_found(log.paths, nonce)
        assert found is not None
        assert found[0].error == "ours"
        assert "longer than a checkpoint" in str(found[1].error)
        assert "Is a directory" in str(found[2].error)

    @pytest.mark.parametrize(
        "content",
        [
            b"", b"{", b"[]", b'{"nonce": "N"}', b'{"nonce": "N", "sources": {}}', b'{"nonce": "N", "sources": [1]}',
            b'{"nonce": "N", "sources": [{"name": "a", "kind": "oracle", "checkpoint": null, "error": null}]}',
            b'{"nonce": "N", "sources": [{"name": "a", "kind": "copy", "checkpoint": 7, "error": null}]}',
            b'{"nonce": "N", "sources": [{"name": "a", "kind": "copy", "checkpoint": null}]}', b"[" * 100_000,
        ],
    )  # fmt: skip
    def test_an_answer_of_another_form_is_none(self, log: PublishedByHand, content: bytes) -> None:
        (log.paths.run / "heads-found.json").write_bytes(content)
        assert read_found(log.paths, "N") is None
        (log.paths.run / "heads-wanted").write_bytes(content)
        assert not answer_wanted(log.paths, [])

    def test_a_question_that_came_meanwhile_is_not_lost(self, log: PublishedByHand) -> None:
        witness = witness_of(log)
        asked: list[str] = []
        witness.before = lambda: asked.append(ask_for_heads(log.paths, log.origin)) if not asked else None
        ask_for_heads(log.paths, log.origin)
        sources = [WitnessSource(witness.name, witness)]
        assert answer_wanted(log.paths, sources)
        assert read_found(log.paths, asked[0]) is None
        assert answer_wanted(log.paths, sources)
        assert read_found(log.paths, asked[0]) is not None

    def test_what_is_asked_is_what_format_says(self, log: PublishedByHand) -> None:
        nonce = ask_for_heads(log.paths, log.origin)
        assert json.loads((log.paths.run / "heads-wanted").read_bytes()) == {"nonce": nonce, "origin": log.origin}


class TestJudgement:
    """Ahead, forked, behind, unreachable, foreign."""

    def judge(self, log: PublishedByHand, *notes: bytes | None, own: Checkpoint | None = None):
        found = [
            OutsideHead(f"source {n}", "witness", None if note is None else note.decode())
            for n, note in enumerate(notes)
        ]
        reader = TreeReader(log.paths.log, log.tree.size)
        return judge_heads(own or log.head, log.key, found, lambda size: tree_root(size, reader.node))

    def test_ours_and_older_ones_are_behind(self, log: PublishedByHand) -> None:
        older = log.note
        log.grow(3)
        judgement = self.judge(log, log.note, older)
        assert [one.checkpoint.size for one in judgement.behind] == [8, 5]
        assert [judgement.ahead, judgement.forked, judgement.foreign] == [[], [], []]
        assert judgement.reached

    def test_larger_ones_are_ahead_the_largest_first(self, log: PublishedByHand) -> None:
        own = log.head
        notes = [log.grow(1), log.grow(5), log.grow(1)]
        judgement = self.judge(log, *notes, own=own)
        assert [one.checkpoint.size for one in judgement.ahead] == [12, 11, 6]
        assert [one.name for one in judgement.ahead] == ["source 2", "source 1", "source 0"]

    def test_another_root_is_a_fork(self, log: PublishedByHand) -> None:
        key = private_key(log.origin)
        same = sign_checkpoint(Checkpoint(log.origin, log.tree.size, bytes(32)), key)
        older = sign_checkpoint(Checkpoint(log.origin, 3, bytes(32)), key)
        judgement = self.judge(log, same, older)
        assert [one.checkpoint.size for one in judgement.forked] == [5, 3]
        found = [OutsideHead("older", "copy", older.decode())]
        assert judge_heads(log.head, log.key, found).behind, "a past fork needs the tree"

    def test_foreign_ones_are_named_and_ignored(self, log: PublishedByHand, tmp_path: Path) -> None:
        other = PublishedByHand(tmp_path / "other", "phayan.test/other").grow(50)
        forged = sign_checkpoint(Checkpoint(log.origin, 99, bytes(32)), private_key("a liar"))
        broken = log.note.replace(b"\n5\n", b"\n6\n")
        judgement = self.judge(log, other, forged, broken, b"", b"\n\n", b"{}")
        assert [name for name, _ in judgement.foreign] == [f"source {n}" for n in range(6)]
        assert all(reason for _, reason in judgement.foreign)
        assert [judgement.ahead, judgement.forked, judgement.behind] == [[], [], []]
        assert not judgement.reached

    def test_unreachable_and_without(self, log: PublishedByHand) -> None:
        found = [OutsideHead("a", "witness", None, "no route"), OutsideHead("b", "copy", None)]
        judgement = judge_heads(log.head, log.key, found)
        assert judgement.unreachable == [("a", "no route")]
        assert judgement.without == ["b"]
        assert judgement.reached
        assert not judge_heads(log.head, log.key, found[:1]).reached
        assert not judge_heads(log.head, log.key, []).reached
