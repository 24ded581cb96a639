"""A new log that continues an old one: nothing is lost, a crash at any step is finished by the next start."""

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from small_log import SmallLog

from archive import succession
from archive.cosignature import sign_cosignature
from archive.errors import ArchiveError, ArchiveStateError
from archive.key_source import KeySource
from archive.keys import GivenKeys, load_keys
from archive.leaf import decode_leaf
from archive.note import VerifierKey
from archive.sealer import Sealer
from archive.sealing.naming import SuccessorSource
from archive.spool import SpoolWriter
from archive.succession import (
    KEY_CHANGED,
    MOVED,
    RESTORED,
    begin_new_log,
    finish_change,
    former_folders,
    read_successor,
)
from archive.tree import TreeReader
from archive.verify.run import verify_archive

NEW = "phayan.test/second"


def seal(log: SmallLog, payload: bytes) -> None:
    """With the keys that are in force."""
    writer = SpoolWriter(log.paths.spool, "collector", clock=log.clock)
    writer.append(payload, listener="syslog")
    writer.close()
    sealer = Sealer(log.paths, load_keys(log.paths.keys), clock=log.clock, head_interval_seconds=0)
    sealer.run_once(full_look=True)
    sealer.close()
    log.clock.advance(1)


def change(log: SmallLog, origin: str = NEW, why: str = KEY_CHANGED, known: bytes | None = None) -> None:
    begin_new_log(log.paths, KeySource(log.paths.keys), origin, why, log.clock, known=known)


def key_leaf(log: SmallLog) -> dict:
    return decode_leaf(TreeReader(log.paths.log, 1 if not (log.paths.log / "tile/0/000").exists() else 256).leaf(0))


def test_a_key_change_is_a_new_log_that_names_the_old_one(small_log: SmallLog) -> None:
    seal(small_log, b"under the first key")
    old_vkey = (small_log.paths.log / "key.vkey").read_text().strip()
    old_head = small_log.paths.head.read_bytes()
    change(small_log)
    leaf = key_leaf(small_log)
    assert leaf["former"] == {
        "origin": "phayan.test/small", "vkey": old_vkey, "checkpoint": old_head.decode(), "why": KEY_CHANGED,
    }  # fmt: skip
    assert leaf["log"] == NEW
    assert leaf["vkey"] != old_vkey
    seal(small_log, b"under the second key")
    former = former_folders(small_log.paths)
    assert [path.name for path in former] == ["1"]
    assert (former[0] / "head").read_bytes() == old_head
    report = verify_archive(small_log.paths.directory, small_log.paths.head)
    assert report.exit_code == 0, report.to_text()


def test_logs_follow_each_other_any_number_of_times(small_log: SmallLog) -> None:
    for number in range(3):
        seal(small_log, b"line %d" % number)
        change(small_log, f"phayan.test/n{number}")
    seal(small_log, b"last")
    assert [path.name for path in former_folders(small_log.paths)] == ["1", "2", "3"]
    report = verify_archive(small_log.paths.directory, small_log.paths.head)
    assert report.exit_code == 0, report.to_text()


@pytest.mark.parametrize("step", range(14))
def test_a_crash_at_any_step_is_finished_by_the_next_start(
    small_log: SmallLog, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    seal(small_log, b"before")

    class Died(Exception):
        pass

    calls = []

    def dying(real):  # type: ignore[no-untyped-def]
        def call(*arguments, **options):  # type: ignore[no-untyped-def]
            calls.append(real)
            if len(calls) > step:
                raise Died
            return real(*arguments, **options)

        return call

    with monkeypatch.context() as broken:
        for name in ("replace_file", "sync_directory", "make_directory", "create_log", "_move"):
            broken.setattr(succession, name, dying(getattr(succession, name)))
        try:
            change(small_log)
        except Died:
            pass
        else:
            assert len(calls) <= step
    finish_change(small_log.paths)
    assert not (small_log.paths.directory / "changing").exists()
    if small_log.paths.origin() != NEW:
        # Nothing has happened yet; a second try succeeds.
        seal(small_log, b"still under the first key")
        change(small_log)
    assert not (small_log.paths.directory / "next").exists()
    seal(small_log, b"after")
    assert [path.name for path in former_folders(small_log.paths)] == ["1"]
    report = verify_archive(small_log.paths.directory, small_log.paths.head)
    assert report.exit_code == 0, report.to_text()


def test_a_machine_put_back_to_yesterday_begins_a_new_log_that_names_the_newest_head(
    small_log: SmallLog, tmp_path: Path
) -> None:
    seal(small_log, b"yesterday")
    shutil.copytree(small_log.paths.directory, tmp_path / "snapshot")
    seal(small_log, b"today")
    newest = small_log.paths.head.read_bytes()
    shutil.rmtree(small_log.paths.directory)
    shutil.copytree(tmp_path / "snapshot", small_log.paths.directory)
    with pytest.raises(ArchiveError):
        seal(small_log, b"forbidden")
    witness = Ed25519PrivateKey.generate()
    body = newest[: newest.rindex(b"\n\n") + 1]
    cosigned = newest + sign_cosignature(body, 1_795_000_000, "witness.test/w", witness).encode() + b"\n"
    change(small_log, why=RESTORED, known=cosigned)
    former = key_leaf(small_log)["former"]
    assert former["why"] == RESTORED
    assert former["checkpoint"] == newest.decode()
    seal(small_log, b"goes on")


def test_a_foreign_checkpoint_is_not_named_as_the_old_logs(small_log: SmallLog) -> None:
    seal(small_log, b"line")
    head = small_log.paths.head.read_bytes()
    for known in (b"", b"no note", head.replace(b"small", b"other"), head.replace(b"\n3\n", b"\n4\n")):
        if known == head:
            continue
        with pytest.raises(ArchiveError):
            change(small_log, known=known)
    assert small_log.paths.origin() == "phayan.test/small"
    seal(small_log, b"goes on as before")


def test_a_name_is_used_once(small_log: SmallLog) -> None:
    with pytest.raises(ArchiveStateError) as caught:
        change(small_log, "phayan.test/small")
    assert caught.value.code == "origin"
    change(small_log)
    for name in ("phayan.test/small", NEW):
        with pytest.raises(ArchiveStateError):
            change(small_log, name)


def test_the_log_is_not_changed_under_a_running_sealer(small_log: SmallLog) -> None:
    small_log.sealer()
    with pytest.raises(ArchiveStateError) as caught:
        change(small_log)
    assert caught.value.code == "head_locked"


def test_what_waits_in_the_spool_is_sealed_in_the_new_log(small_log: SmallLog) -> None:
    seal(small_log, b"before")
    writer = SpoolWriter(small_log.paths.spool, "collector", clock=small_log.clock)
    writer.append(b"received, not sealed", listener="syslog")
    writer.close()
    change(small_log)
    seal(small_log, b"after")
    report = verify_archive(small_log.paths.directory, small_log.paths.head)
    assert report.exit_code == 0, report.to_text()
    assert list(small_log.paths.spool.glob("*/*.spool")) == []


def test_the_larger_of_two_known_heads_is_named(small_log: SmallLog) -> None:
    older = small_log.paths.head.read_bytes()
    seal(small_log, b"line")
    newest = small_log.paths.head.read_bytes()
    change(small_log, why=RESTORED, known=older)
    assert key_leaf(small_log)["former"]["checkpoint"] == newest.decode()


def test_a_thai_name_of_any_length_has_a_certificate(small_log: SmallLog) -> None:
    change(small_log, "โรงเรียนเทศบาลวัดกลางบันทึกจราจรคอมพิวเตอร์")
    seal(small_log, b"line")


def end_with_successor(log: SmallLog, key: VerifierKey) -> None:
    keys = load_keys(log.paths.keys)
    sources = [SuccessorSource(key, log.clock)]
    sealer = Sealer(log.paths, keys, clock=log.clock, head_interval_seconds=0, sources=sources)
    sealer.run_once(full_look=True)
    sealer.close()


def successor_key(name: str = NEW) -> tuple[Ed25519PrivateKey, VerifierKey]:
    key = Ed25519PrivateKey.generate()
    return key, VerifierKey(name, key.public_key().public_bytes_raw())


def test_nothing_is_signed_after_a_successor_is_named(small_log: SmallLog) -> None:
    seal(small_log, b"before")
    end_with_successor(small_log, successor_key()[1])
    head = small_log.paths.head.read_bytes()
    report = verify_archive(small_log.paths.directory, small_log.paths.head)
    assert (report.exit_code, report.records > 0) == (0, True)
    assert (read_successor(small_log.paths) or {})["origin"] == NEW
    for _ in range(2):
        with pytest.raises(ArchiveStateError, match=r"moved to phayan\.test/second") as caught:
            seal(small_log, b"after")
        assert caught.value.code == "moved"
    with pytest.raises(ArchiveStateError, match="moved to"):
        change(small_log)
    assert small_log.paths.head.read_bytes() == head


def test_a_log_that_moves_begins_with_the_key_that_was_named(small_log: SmallLog) -> None:
    private, key = successor_key()
    seal(small_log, b"before")

    def move(given: Ed25519PrivateKey) -> None:
        source = KeySource(small_log.paths.keys, given=GivenKeys(given))
        begin_new_log(small_log.paths, source, NEW, MOVED, small_log.clock)

    with pytest.raises(ArchiveStateError, match="names no successor"):
        move(private)
    end_with_successor(small_log, key)
    with pytest.raises(ArchiveStateError, match="another successor"):
        move(successor_key()[0])
    move(private)
    assert key_leaf(small_log)["vkey"] == key.text()
    assert key_leaf(small_log)["former"]["why"] == MOVED
    seal(small_log, b"after")
    report = verify_archive(small_log.paths.directory, small_log.paths.head)
    assert report.exit_code == 0, report.to_text()
    assert "moved" in [statement.code for statement in report.statements]


def test_the_package_key_goes_on_after_a_restore(small_log: SmallLog) -> None:
    keys = load_keys(small_log.paths.keys)
    source = KeySource(small_log.paths.keys, given=GivenKeys(package=(keys.package, keys.certificate)))  # type: ignore[arg-type]
    begin_new_log(small_log.paths, source, NEW, RESTORED, small_log.clock)
    following = load_keys(small_log.paths.keys)
    assert following.certificate_sha256() == keys.certificate_sha256()
    assert following.verifier_key(NEW).text() != keys.verifier_key(NEW).text()
