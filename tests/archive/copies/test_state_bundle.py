"""The encrypted state: the same state is the same bytes, and no bundle leads out of its folder."""

import io
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from copy_targets import CopiedLog

from archive.copies import others
from archive.copies.directory_target import DirectoryTarget
from archive.copies.others import bundle_names
from archive.copies.state_bundle import (
    decrypt_bundle,
    decrypt_bytes,
    encrypt_bundle,
    encrypt_bytes,
    make_identity,
    parse_identity,
    unpack_bundle,
    write_bundle,
)
from archive.copies.target import CopyError

SECRET, RECIPIENT = make_identity()


@dataclass
class Source:
    folder: Path

    def recipient(self) -> str | None:
        return RECIPIENT

    def entries(self) -> Iterator[tuple[str, Path]]:
        yield "accounts/accounts.sqlite", self.folder / "accounts.sqlite"
        yield "phayan.toml", self.folder / "phayan.toml"
        yield "missing", self.folder / "missing"


@pytest.fixture
def source(tmp_path: Path) -> Source:
    with closing(sqlite3.connect(tmp_path / "accounts.sqlite")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE people (name TEXT)")
        database.execute("INSERT INTO people VALUES ('สมชาย')")
        database.commit()
    (tmp_path / "phayan.toml").write_text("[site]\n")
    return Source(tmp_path)


def test_there_and_back(source: Source, tmp_path: Path) -> None:
    plain, encrypted = tmp_path / "state.tar", tmp_path / "state.tar.age"
    with closing(sqlite3.connect(tmp_path / "accounts.sqlite")) as writing:
        # What is committed and still in the write-ahead log comes along.
        writing.execute("INSERT INTO people VALUES ('มานี')")
        writing.commit()
        first = write_bundle(source.entries(), plain)
    assert write_bundle(source.entries(), tmp_path / "again.tar") == first
    encrypt_bundle(plain, encrypted, RECIPIENT)
    assert b"people" not in encrypted.read_bytes()
    back = tmp_path / "back.tar"
    decrypt_bundle(encrypted, back, f"  {SECRET.lower()}\n")
    assert unpack_bundle(back, tmp_path / "out") == ["accounts/accounts.sqlite", "phayan.toml"]
    with closing(sqlite3.connect(tmp_path / "out/accounts/accounts.sqlite")) as database:
        assert [name for (name,) in database.execute("SELECT name FROM people")] == ["สมชาย", "มานี"]
    assert (tmp_path / "out/phayan.toml").stat().st_mode & 0o077 == 0


def test_another_key_or_a_changed_bundle_is_refused(source: Source, tmp_path: Path) -> None:
    plain, encrypted, back = tmp_path / "s.tar", tmp_path / "s.age", tmp_path / "back"
    write_bundle(source.entries(), plain)
    encrypt_bundle(plain, encrypted, RECIPIENT)
    with pytest.raises(CopyError, match="does not open"):
        decrypt_bundle(encrypted, back, make_identity()[0])
    data = bytearray(encrypted.read_bytes())
    data[-1] ^= 1
    encrypted.write_bytes(data)
    with pytest.raises(CopyError, match="does not open"):
        decrypt_bundle(encrypted, back, SECRET)
    with pytest.raises(CopyError, match="one wrong letter"):
        parse_identity(SECRET[:-1] + ("Q" if SECRET[-1] != "Q" else "P"))
    assert decrypt_bytes(encrypt_bytes(b"key", RECIPIENT), SECRET) == b"key"


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../x", "a//b", "."])
def test_no_name_leads_elsewhere(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        info = tarfile.TarInfo(name)
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(CopyError):
        unpack_bundle(tmp_path / "evil.tar", tmp_path / "in")
    assert not (tmp_path / "out").exists()


def test_no_link_is_unpacked(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        info = tarfile.TarInfo("accounts")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(info)
    with pytest.raises(CopyError, match="no plain file"):
        unpack_bundle(tmp_path / "evil.tar", tmp_path / "in")


def test_a_bundle_an_hour_if_something_changed_and_the_newest_stay(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(others, "STATE_BUNDLES", 3)
    log, target = CopiedLog(tmp_path), DirectoryTarget(tmp_path / "usb")
    found = []
    for hour in range(6):
        if hour != 2:
            source.folder.joinpath("phayan.toml").write_text(f"# {hour}\n")
        log.copier(state=source).run()
        log.clock.advance(10)
        log.copier(state=source).run()
        found.append(len(bundle_names(target)))
        log.clock.advance(3600)
    assert found == [1, 2, 2, 3, 3, 3]
    newest = tmp_path / "usb" / bundle_names(target)[-1]
    decrypt_bundle(newest, tmp_path / "plain", SECRET)
    unpack_bundle(tmp_path / "plain", tmp_path / "out")
    assert (tmp_path / "out/phayan.toml").read_text() == "# 5\n"
    assert not list((log.paths.directory / "copies").glob("tmp*"))
