"""`phayan keys`: what it shows and exports, and when the old key may not sign any more."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from archive.clock import SystemClock
from archive.key_source import KeySource
from archive.origin import create_log, default_paths
from archive.policy import parse_policy
from archive.sealer import Sealer
from archive.verify.run import verify_archive
from deploy.cli import main
from deploy.commands_keys import following_origin

ORIGIN = "office.test/log"


def run(directory: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["keys", *arguments, "--data", str(directory)])


def grow(directory: Path) -> None:
    paths = default_paths(directory)
    sealer = Sealer(paths, KeySource(paths.keys).load(paths.origin()), head_interval_seconds=0)
    sealer.run_once()
    sealer.close()


@pytest.fixture
def office(tmp_path: Path) -> Path:
    directory = tmp_path / "office"
    create_log(default_paths(directory), ORIGIN, SystemClock())
    grow(directory)
    return directory


def test_keys_are_changed_shown_exported_and_retired(office: Path, tmp_path: Path) -> None:
    changed = run(office, "change", "--yes")
    assert changed.exit_code == 0, changed.output
    assert f"{ORIGIN}-2 continues {ORIGIN}" in changed.output
    logs = json.loads(run(office, "show", "--format", "json").output)["logs"]
    assert [(log["origin"], log["private_keys"]) for log in logs] == [(f"{ORIGIN}-2", "file"), (ORIGIN, "kept")]
    assert run(office, "retire", "--yes").exit_code == 0
    assert json.loads(run(office, "show", "--format", "json").output)["logs"][1]["private_keys"] == "retired"
    assert run(office, "export", str(tmp_path / "out")).exit_code == 0
    policy = parse_policy((tmp_path / "out" / "policy.txt").read_bytes())
    assert [log.key.name for log in policy.logs] == [f"{ORIGIN}-2"]
    assert not [path for path in (tmp_path / "out").iterdir() if b"PRIVATE" in path.read_bytes()]
    report = verify_archive(office, default_paths(office).head)
    assert report.exit_code == 0, report.to_text()


def test_an_older_state_is_not_signed_once_more_by_a_change_of_keys(office: Path, tmp_path: Path) -> None:
    paths = default_paths(office)
    shutil.copytree(office, tmp_path / "snapshot")
    shutil.copy(paths.head, tmp_path / "head")
    grow(office)
    shutil.copy(paths.head, tmp_path / "newest.head")
    shutil.rmtree(office)
    shutil.copytree(tmp_path / "snapshot", office)
    shutil.copy(tmp_path / "head", paths.head)
    (office / "phayan.toml").write_text(f'[anchors]\ncopies = ["{tmp_path / "newest.head"}"]\n')
    refused = run(office, "change", "--yes")
    assert refused.exit_code != 0
    assert "may not sign" in str(refused.exception or refused.output) + refused.output
    assert paths.head.read_bytes() == (tmp_path / "head").read_bytes()
    assert run(office, "change", "--yes", "--why", "restored").exit_code == 0
    leaf_zero = json.loads(run(office, "show", "--format", "json").output)["logs"][0]["origin"]
    assert leaf_zero == f"{ORIGIN}-2"
    bundle = next((paths.log / "tile" / "entries").rglob("*.zst")).read_bytes()
    assert bundle


def test_without_a_person_saying_so_nothing_is_changed(office: Path) -> None:
    before = default_paths(office).head.read_bytes()
    assert run(office, "change").exit_code == 1
    assert default_paths(office).head.read_bytes() == before


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("a.test/x", "a.test/x-2"), ("a.test/x-2", "a.test/x-3"), ("a.test/x-99999", "a.test/x-99999-2"), ("-", "--2")],
)
def test_the_next_name_counts_on(origin: str, expected: str) -> None:
    assert following_origin(origin) == expected
