"""The log's keys and the head that only ever grows."""

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from small_log import SmallLog

from archive.errors import ArchiveError, ArchiveIntegrityError, ArchiveStateError
from archive.head import HeadFile
from archive.keys import create_keys, load_keys
from archive.note import Checkpoint, VerifierKey, open_checkpoint
from archive.origin import create_log, default_paths
from tests.clocks import ManualClock

ORIGIN = "phayan.test/log"
NOW = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VERIFIER = VerifierKey(ORIGIN, KEY.public_key().public_bytes_raw())


def checkpoint(size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, bytes([size]) * 32)


@pytest.fixture
def head(tmp_path: Path):
    file = HeadFile(tmp_path / "elsewhere" / "head", VERIFIER)
    yield file
    file.close()


def test_keys_come_back_as_made(tmp_path: Path) -> None:
    made = create_keys(tmp_path / "keys", ORIGIN, NOW)
    read = load_keys(tmp_path / "keys")
    assert read.verifier_key(ORIGIN) == made.verifier_key(ORIGIN)
    assert read.package.private_numbers() == made.package.private_numbers()
    assert read.certificate_sha256() == made.certificate_sha256()
    assert read.certificate_pem() == made.certificate_pem()


def test_only_the_owner_reads_the_keys(tmp_path: Path) -> None:
    create_keys(tmp_path / "keys", ORIGIN, NOW)
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_the_certificate_belongs_to_the_package_key_and_signs_nothing_else(tmp_path: Path) -> None:
    keys = create_keys(tmp_path / "keys", ORIGIN, NOW)
    certificate = keys.certificate
    assert isinstance(keys.package.curve, ec.SECP256R1)
    assert certificate.public_key() == keys.package.public_key()
    certificate.verify_directly_issued_by(certificate)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not any((usage.key_cert_sign, usage.crl_sign, usage.key_encipherment, usage.key_agreement))
    assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc
    assert (certificate.not_valid_after_utc - NOW).days >= 3650


def test_keys_are_never_made_over_others(tmp_path: Path) -> None:
    made = create_keys(tmp_path / "keys", ORIGIN, NOW)
    with pytest.raises(ArchiveStateError):
        create_keys(tmp_path / "keys", ORIGIN, NOW)
    assert load_keys(tmp_path / "keys").verifier_key(ORIGIN) == made.verifier_key(ORIGIN)


@pytest.mark.parametrize("name", ["checkpoint.pem", "package.pem", "package.crt"])
@pytest.mark.parametrize("content", [None, b"", b"not a key", "the other key"])
def test_missing_or_foreign_keys_are_refused(tmp_path: Path, name: str, content: bytes | str | None) -> None:
    create_keys(tmp_path / "keys", ORIGIN, NOW)
    path = tmp_path / "keys" / name
    if content is None:
        path.unlink()
    else:
        other = "package.pem" if name == "checkpoint.pem" else "checkpoint.pem"
        path.write_bytes((tmp_path / "keys" / other).read_bytes() if isinstance(content, str) else content)
    with pytest.raises(ArchiveStateError) as caught:
        load_keys(tmp_path / "keys")
    assert caught.value.code == "keys"


def test_a_head_starts_empty_and_grows(head: HeadFile) -> None:
    assert head.load() is None
    note = head.advance(None, checkpoint(1), KEY)
    assert head.path.read_bytes() == note
    assert open_checkpoint(note, VERIFIER) == checkpoint(1)
    head.advance(checkpoint(1), checkpoint(2), KEY)
    assert head.load() == checkpoint(2)


@pytest.mark.parametrize("expected", [None, checkpoint(1), checkpoint(3), Checkpoint(ORIGIN, 2, bytes(32))])
def test_a_head_that_is_not_the_expected_one_is_never_replaced(head: HeadFile, expected: Checkpoint | None) -> None:
    head.advance(None, checkpoint(2), KEY)
    before = head.path.read_bytes()
    with pytest.raises(ArchiveStateError) as caught:
        head.advance(expected, checkpoint(9), KEY)
    assert caught.value.code == "head_moved"
    assert head.path.read_bytes() == before


@pytest.mark.parametrize("following", [checkpoint(1), checkpoint(2), Checkpoint(ORIGIN, 2, bytes(32))])
def test_a_head_never_stands_still_or_shrinks(head: HeadFile, following: Checkpoint) -> None:
    head.advance(None, checkpoint(2), KEY)
    with pytest.raises(ArchiveStateError):
        head.advance(checkpoint(2), following, KEY)
    assert head.load() == checkpoint(2)


def test_a_head_changed_by_hand_is_refused(head: HeadFile) -> None:
    head.advance(None, checkpoint(2), KEY)
    head.path.write_bytes(head.path.read_bytes().replace(b"\n2\n", b"\n3\n"))
    with pytest.raises(ArchiveIntegrityError):
        head.load()
    with pytest.raises(ArchiveError):
        head.advance(checkpoint(3), checkpoint(4), KEY)


def test_a_head_is_held_by_one(head: HeadFile) -> None:
    with pytest.raises(ArchiveStateError) as caught:
        HeadFile(head.path, VERIFIER)
    assert caught.value.code == "head_locked"
    # A refused second holder leaves the first one's lock alone.
    with pytest.raises(ArchiveStateError):
        HeadFile(head.path, VERIFIER)


def test_a_log_is_never_made_over_another(small_log: SmallLog) -> None:
    with pytest.raises(ArchiveStateError) as caught:
        create_log(small_log.paths, "phayan.test/again", small_log.clock)
    assert caught.value.code == "log_exists"
    assert small_log.check() == 1


def test_a_log_is_never_made_over_the_head_of_a_lost_one(tmp_path: Path) -> None:
    paths = default_paths(tmp_path / "data")
    paths.head.write_bytes(b"of another log")
    with pytest.raises(ArchiveStateError):
        create_log(paths, ORIGIN, ManualClock())
    assert paths.head.read_bytes() == b"of another log"
    assert not paths.keys.exists()


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "a\nb"])
def test_an_origin_must_be_a_key_name(tmp_path: Path, origin: str) -> None:
    with pytest.raises(ArchiveStateError):
        create_log(default_paths(tmp_path / "data"), origin, ManualClock())
    assert not (tmp_path / "data").exists()


def test_where_there_is_no_log_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(ArchiveStateError) as caught:
        default_paths(tmp_path / "data").origin()
    assert caught.value.code == "no_log"
