"""Signing keys from files, systemd credentials and a PKCS#11 token (SoftHSM): the same log, the same verifiers."""

import datetime
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from archive import pkcs11_keys
from archive.errors import ArchiveStateError
from archive.key_source import CREDENTIALS_VARIABLE, KeySource, Pkcs11Settings
from archive.note import Checkpoint, open_checkpoint, sign_checkpoint
from archive.origin import create_log, default_paths
from archive.sealer import Sealer
from archive.spool import SpoolWriter
from archive.verify.run import verify_archive
from tests.clocks import ManualClock

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
NOW = datetime.datetime(2026, 11, 20, tzinfo=datetime.UTC)
ORIGIN = "phayan.test/keys"
PIN = "482916"


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A SoftHSM token of this test alone, and the file with its PIN."""
    if shutil.which("softhsm2-util") is None or not Path(MODULE).exists():
        if os.environ.get("CI") == "true":
            pytest.fail("softhsm2 is not installed")
        pytest.skip("softhsm2 is not installed")
    directory = tmp_path_factory.mktemp("hsm")
    (directory / "tokens").mkdir()
    (directory / "conf").write_text(f"directories.tokendir = {directory}/tokens\nobjectstore.backend = file\n")
    (directory / "pin").write_text(PIN + "\n")
    os.environ["SOFTHSM2_CONF"] = str(directory / "conf")
    done = subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "phayan", "--pin", PIN, "--so-pin", "99998888"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    yield directory / "pin"
    del os.environ["SOFTHSM2_CONF"]


@pytest.fixture
def token(hsm: Path, tmp_path: Path) -> KeySource:
    return KeySource(tmp_path / "keys", pkcs11=Pkcs11Settings(MODULE, "phayan", hsm))


def test_a_token_signs_heads_and_certificates_that_everybody_verifies(token: KeySource) -> None:
    made = token.create(ORIGIN, NOW)
    read = token.load(ORIGIN)
    checkpoint = Checkpoint(ORIGIN, 7, bytes(32))
    note = sign_checkpoint(checkpoint, read.checkpoint)
    assert open_checkpoint(note, made.verifier_key(ORIGIN)) == checkpoint
    assert sign_checkpoint(checkpoint, made.checkpoint) == note, "Ed25519 is deterministic, in a token too"
    signature = read.package.sign(b"tag manifest", ec.ECDSA(hashes.SHA256()))
    public = read.certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signature, b"tag manifest", ec.ECDSA(hashes.SHA256()))
    read.certificate.verify_directly_issued_by(read.certificate)
    assert [path.name for path in token.directory.iterdir()] == ["package.crt"], "no private key in a file"


def test_a_log_is_sealed_with_keys_of_a_token(token: KeySource, tmp_path: Path) -> None:
    paths = default_paths(tmp_path / "data")
    clock = ManualClock()
    source = token.at(paths.keys)
    create_log(paths, "phayan.test/token-log", clock, source=source)
    writer = SpoolWriter(paths.spool, "collector", clock=clock)
    writer.append(b"line", listener="syslog")
    writer.close()
    sealer = Sealer(paths, source.load("phayan.test/token-log"), clock=clock, head_interval_seconds=0)
    sealer.run_once()
    sealer.close()
    report = verify_archive(paths.directory, paths.head)
    assert report.exit_code == 0, report.to_text()
    assert report.records >= 1


def test_a_token_key_does_not_leave_its_token(token: KeySource) -> None:
    package = token.create("phayan.test/stay", NOW).package
    for ask in (
        package.private_numbers,
        lambda: package.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        lambda: package.exchange(ec.ECDH(), package.public_key()),
    ):
        with pytest.raises(NotImplementedError):
            ask()
    with pytest.raises(ValueError, match="SHA-256"):
        package.sign(b"x", ec.ECDSA(hashes.SHA384()))


def test_destroyed_keys_sign_no_more(token: KeySource) -> None:
    token.create("phayan.test/gone", NOW)
    token.destroy("phayan.test/gone", token.directory)
    with pytest.raises(ArchiveStateError) as caught:
        token.load("phayan.test/gone")
    assert caught.value.code == "keys"
    token.destroy("phayan.test/gone", token.directory)


@pytest.mark.parametrize("wrong", ["module", "label", "pin", "no pin file"])
def test_a_token_that_cannot_be_opened_is_one_sentence(hsm: Path, tmp_path: Path, wrong: str) -> None:
    pin = tmp_path / "pin"
    if wrong != "no pin file":
        pin.write_text("000000" if wrong == "pin" else PIN)
    settings = Pkcs11Settings(
        "/nowhere.so" if wrong == "module" else MODULE, "other" if wrong == "label" else "phayan", pin
    )
    # Another test may have logged this process in already.
    held = pkcs11_keys._open_tokens.pop((MODULE, "phayan"), None)
    try:
        with pytest.raises(ArchiveStateError) as caught:
            KeySource(tmp_path / "keys", pkcs11=settings).load(ORIGIN)
    finally:
        if held is not None:
            pkcs11_keys._open_tokens[MODULE, "phayan"] = held
    assert caught.value.code == "keys"
    assert "\n" not in str(caught.value)


def test_credentials_of_systemd_are_read_where_it_puts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = KeySource(tmp_path / "made").create(ORIGIN, NOW)
    source = KeySource(tmp_path / "keys", is_credential=True)
    monkeypatch.delenv(CREDENTIALS_VARIABLE, raising=False)
    with pytest.raises(ArchiveStateError) as caught:
        source.load(ORIGIN)
    assert caught.value.code == "keys"
    monkeypatch.setenv(CREDENTIALS_VARIABLE, str(tmp_path / "made"))
    assert source.load(ORIGIN).verifier_key(ORIGIN) == made.verifier_key(ORIGIN)


def test_destroying_key_files_overwrites_them_and_leaves_the_certificate(tmp_path: Path) -> None:
    source = KeySource(tmp_path / "keys")
    source.create(ORIGIN, NOW)
    kept = tmp_path / "second name"
    os.link(tmp_path / "keys" / "checkpoint.pem", kept)
    source.destroy(ORIGIN, tmp_path / "keys")
    assert set(kept.read_bytes()) == {0}
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["package.crt"]
    x509.load_pem_x509_certificate((tmp_path / "keys" / "package.crt").read_bytes())
