"""Threats 4, 6 and 8: who has the key as well puts an older true state back, rewrites yesterday, seals it again under a
new key."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import rfc8785

from archive.verify.anchors import Trust
from tests.appliance import PHAYAN
from tests.archive.tsa_maker import MadeAuthority
from tests.archive.verify.hand_made_log import HandMadeLog, HandMadeWitness, put
from tests.fault.chunk_log import CHUNKS, codes, copy_of, make_chunk_log, rechained, segment_of, verify

OLDER_HEADS = 200
REWRITTEN, ANCHORED = 30, 50
WITNESS = HandMadeWitness("witness.example/office")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> HandMadeLog:
    return make_chunk_log(tmp_path_factory.mktemp("chunks") / "data")


@pytest.fixture
def log(pristine: HandMadeLog, tmp_path: Path) -> HandMadeLog:
    return copy_of(pristine, tmp_path)


def _cut_to(log: HandMadeLog, size: int) -> None:
    """To the true state of `size` leaves, segments as well."""
    shutil.rmtree(log.log / "tile")
    fields = [json.loads(leaf) for leaf in log.leaves[1:size]]
    end = max((leaf["offset"] + leaf["length"] for leaf in fields), default=0)
    path = segment_of(log)
    path.write_bytes(path.read_bytes()[:end])
    log.publish(size)


def test_cut_back_to_each_of_the_last_heads(tmp_path: Path) -> None:
    log = HandMadeLog(tmp_path / "data")
    for _ in range(OLDER_HEADS + 20):
        log.append_data("collector")
    log.publish()
    newest = log.checkpoint(len(log.leaves))
    kept = tmp_path / "newest.checkpoint"
    kept.write_bytes(newest + WITNESS.cosign(newest, 1_795_000_900))
    full = len(log.leaves)
    assert verify(log, newest).exit_code == 0
    for size in range(full - 1, full - 1 - OLDER_HEADS, -1):
        _cut_to(log, size)
        report = verify(log)
        assert report.exit_code == 0, report.to_text()
        assert "consistent, freshness unproven" in report.to_text()
        report = verify(log, kept.read_bytes(), trust=Trust((WITNESS.vkey,)))
        assert codes(report) == {"anchor_ahead", "anchor_contradicts"}
    assert _command(log).returncode == 0
    done = _command(log, "--checkpoint", str(kept))
    assert done.returncode == 1
    assert f"has {full} leaves, more than this log" in done.stdout
    print(f"row 4: {OLDER_HEADS} older states, each with and without the newest head")


def _command(log: HandMadeLog, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(PHAYAN), "verify", "--data", str(log.directory), *options], capture_output=True, text=True, check=False
    )


def rewrite_with_key(log: HandMadeLog, leaf: int) -> None:
    """Root with the key: other bytes in an old chunk, every hash after it made to fit, all signed again."""
    fields = json.loads(log.leaves[leaf])
    path = segment_of(log)
    stored = bytearray(path.read_bytes())
    start = fields["offset"]
    stored[start + 10] ^= 0x20
    path.write_bytes(stored)
    fields["sha256"] = hashlib.sha256(stored[start : start + fields["length"]]).hexdigest()
    log.leaves[leaf] = rfc8785.dumps(fields)
    log.leaves = rechained(log.leaves, leaf + 1, 0)
    shutil.rmtree(log.log / "tile")
    log.publish()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> MadeAuthority:
    return MadeAuthority("tsa-one", tmp_path_factory.mktemp("tsa") / "one")


@pytest.fixture
def outside(log: HandMadeLog, authority: MadeAuthority, tmp_path: Path) -> dict[str, list[str]]:
    """Options of `phayan verify` for each kind of evidence over one old head, and settings that trust them."""
    note = log.checkpoint(ANCHORED)
    files = {
        "old.checkpoint": note,
        "old.cosigned": note + WITNESS.cosign(note, 1_795_000_900),
        "old.tsr": authority.stamp(note),
        "root.pem": authority.root.pem,
        "signer.pem": authority.signer.pem,
        "policy": f"witness office {WITNESS.vkey}\nquorum office\n".encode(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    settings = tmp_path / "phayan.toml"
    settings.write_text(
        f'[[anchors.authority]]\nname = "tsa-one"\nurl = "http://127.0.0.1:9/"\nca_file = "{tmp_path}/root.pem"\n'
        f'signer_file = "{tmp_path}/signer.pem"\n'
    )
    at = {name: str(tmp_path / name) for name in files}
    return {
        "checkpoint": ["--checkpoint", at["old.checkpoint"]],
        "cosignature": ["--checkpoint", at["old.cosigned"], "--policy", at["policy"]],
        "time stamp": ["--checkpoint", at["old.checkpoint"], "--token", at["old.tsr"], "--config", str(settings)],
    }


@pytest.mark.parametrize("evidence", ["checkpoint", "cosignature", "time stamp"])
def test_yesterday_rewritten_with_the_real_key(
    log: HandMadeLog, outside: dict[str, list[str]], evidence: str, full_counts: bool
) -> None:
    assert _command(log, *outside[evidence]).returncode == 0
    rewrite_with_key(log, REWRITTEN)
    done = _command(log)
    assert done.returncode == 0
    assert "consistent, freshness unproven" in done.stdout
    done = _command(log, *outside[evidence])
    assert done.returncode == 1, done.stdout
    # Nothing older is anchored, so that all one old head can say is: not before leaf 0.
    assert "from leaf 0 on" in done.stdout or "before leaf 0" in done.stdout, done.stdout
    print(f"row 6: rewritten at leaf {REWRITTEN}, found by one old {evidence}")


def test_with_two_old_heads_the_rewriting_lies_between_them(pristine: HandMadeLog, tmp_path: Path) -> None:
    heads = [pristine.checkpoint(size) for size in range(1, CHUNKS + 2)]
    for leaf in range(1, CHUNKS + 1):
        log = copy_of(pristine, tmp_path / str(leaf))
        rewrite_with_key(log, leaf)
        assert verify(log).exit_code == 0
        [first, *_] = verify(log, *heads).defects
        assert f"none of them before leaf {leaf}." in first.message
        shutil.rmtree(tmp_path / str(leaf))
    print(f"row 6: {CHUNKS} leaves rewritten, each located by old heads")


def test_old_leaves_sealed_again_under_a_new_key(pristine: HandMadeLog, tmp_path: Path) -> None:
    """With the new key's signature alone, with its key file, and with leaf 0 made to name it."""
    old_head = pristine.checkpoint(CHUNKS + 1)
    for step in range(3):
        log = copy_of(pristine, tmp_path / str(step))
        newer = HandMadeLog(tmp_path / str(step) / "newer", seed=42)
        if step == 2:
            log.leaves[0] = newer.leaves[0]
            log.leaves = rechained(log.leaves, 1, 0)
            shutil.rmtree(log.log / "tile")
            log.write_tree()
        for path in (log.head_path, log.log / "checkpoint"):
            put(path, newer.checkpoint(len(log.leaves), log.leaves))
        if step:
            put(log.log / "key.vkey", f"{newer.vkey}\n".encode())
        found = codes(verify(log))
        assert found == [{"head_signature", "checkpoint_signature"}, {"key_differs"}, set()][step], step
        # In itself the last is a sound log of another key; whoever holds one head of the old key sees that it is not.
        if step:
            assert "anchor_foreign" in codes(verify(log, old_head))
    print("row 8: 3 ways")
