"""`phayan verify` with its options, on an archive made by hand."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from tests.archive.verify.hand_made_log import HandMadeLog, HandMadeWitness

WITNESS = HandMadeWitness("witness.example/a")


@pytest.fixture
def log(tmp_path: Path) -> HandMadeLog:
    return HandMadeLog(tmp_path / "data").fill(300).publish()


def verify(log: HandMadeLog, *options: str) -> Result:
    return CliRunner().invoke(main, ["verify", "--data", str(log.directory), *options])


def write(path: Path, data: bytes | str) -> str:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


def test_without_anything_from_outside_freshness_is_unproven(log: HandMadeLog) -> None:
    done = verify(log)
    assert done.exit_code == 0, done.output
    assert "consistent, freshness unproven" in done.output


def test_cosigned_checkpoints_and_a_policy(log: HandMadeLog, tmp_path: Path) -> None:
    note = log.checkpoint(200)
    cosigned = write(tmp_path / "a", note + WITNESS.cosign(note, 1_795_000_000))
    plain = write(tmp_path / "b", log.checkpoint(250))
    policy = write(tmp_path / "policy", f"log {log.vkey}\nwitness a {WITNESS.vkey}\nquorum a\n")
    done = verify(log, "--checkpoint", cosigned, "--checkpoint", plain, "--policy", policy, "--format", "json")
    assert done.exit_code == 0, done.output
    shown = json.loads(done.output)
    assert shown["freshness"] == "unchanged up to leaf 250"
    assert {(found["by"], found["size"]) for found in shown["anchors"]} == {("given", 250), ("witness", 200)}
    other = [*log.leaves[:150], b"{}", *log.leaves[151:]]
    forged = write(tmp_path / "c", log.checkpoint(200, other))
    done = verify(log, "--checkpoint", forged, "--format", "json")
    assert done.exit_code == 1
    assert [defect["code"] for defect in json.loads(done.output)["defects"]] == ["anchor_inconsistent"]


def test_witnesses_of_the_settings_are_trusted(log: HandMadeLog, tmp_path: Path) -> None:
    log.append_witnessed(WITNESS, 250)
    log.publish()
    settings = write(
        tmp_path / "phayan.toml",
        f'[[anchors.witness]]\nurl = "https://witness.example"\nvkey = "{WITNESS.vkey}"\n',
    )
    done = verify(log, "--config", settings, "--format", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["freshness"].startswith("unchanged up to leaf 250, seen by witness.example/a at ")
    assert json.loads(verify(log, "--format", "json").output)["freshness"] == "unproven"


def test_token_without_a_trusted_authority_is_stated(log: HandMadeLog, tmp_path: Path) -> None:
    token, note = write(tmp_path / "t", b"token"), write(tmp_path / "n", log.checkpoint(200))
    done = verify(log, "--token", token, "--checkpoint", note)
    assert done.exit_code == 0
    assert "no time stamp authority is trusted" in done.output


def test_quick_says_what_was_left_out(log: HandMadeLog) -> None:
    done = verify(log, "--quick")
    assert done.exit_code == 0
    assert "Quick:" in done.output


def test_policy_that_is_none_is_one_sentence(log: HandMadeLog, tmp_path: Path) -> None:
    done = verify(log, "--policy", write(tmp_path / "p", "witness\n"))
    assert done.exit_code == 2
    assert len(done.output.strip().splitlines()) == 1
