"""What others do with a package or for it: commands of VERIFY.txt, time stamps, witnesses, an envelope."""

import datetime
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Made, make_lines
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from package_log import NS, PackageArchive, write_folder, write_zip
from published_log import MemoryWitness

from archive.anchor.check import AUTHORITY, AnchorTrust
from archive.anchor.published import PublishedHead
from archive.anchor.stamp_request import NO_ANSWER, StampDesk, ask_for_stamp
from archive.anchor.store import AnchorStore
from archive.errors import ArchiveFormatError, TimestampError
from archive.index.checkpoint import read_checkpoint_note, read_log_key
from archive.package.encrypt import encrypt_package, read_receiver
from archive.package.verify_package import PackageError, verify_package
from archive.timestamp.token import Authority
from tests.archive.tsa_maker import MadeAuthority
from tests.clocks import ManualClock

ALLOWED = (
    "sha256sum", "openssl", "tshark", "sh", "date", "sed", "grep", "cat", "od", "head", "printf", "dumpcap", "bash",
)  # fmt: skip


def linux_commands(text: str) -> list[str]:
    """The shell commands of the Linux part of VERIFY.txt, as a reader would copy them."""
    joined = re.sub(r"\\\n\s+", "", text.split("2. Windows")[0])
    return [line.strip() for line in joined.splitlines() if re.match(r"   (sha256sum|openssl|tshark) ", line)]


@pytest.fixture(scope="module")
def plain_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PATH of coreutils, openssl and tshark."""
    folder = tmp_path_factory.mktemp("path")
    for name in ALLOWED:
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    return folder


def run_plain(command: str, folder: Path, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder,
        env={"PATH": str(path), "HOME": str(folder.parent), "LC_ALL": "C.UTF-8"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("which", ["lines", "flows", "stamped"])
def test_every_linux_command_of_verify_txt_passes_as_written(
    which: str, request: pytest.FixtureRequest, plain_path: Path, tmp_path: Path
) -> None:
    made: Made = request.getfixturevalue(which)
    folder = write_folder(tmp_path / "bag", made.files)
    commands = linux_commands(made.files["VERIFY.txt"].decode())
    assert len(commands) == {"lines": 4, "flows": 5, "stamped": 6}[which]
    for command in commands:
        done = run_plain(command, folder, plain_path)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    text = made.files["VERIFY.txt"].decode()
    assert "Get-FileHash" in text
    assert "certutil -hashfile" in text
    assert "ตรวจสอบ" in text


def test_an_expired_certificate_passes_openssl_as_of_the_packages_own_time_alone(
    plain_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexed_log.ManualClock", lambda: ManualClock(1_000_000_000 * NS))
    made = make_lines(tmp_path / "archive")
    folder = write_folder(tmp_path / "bag", made.files)
    (command,) = [one for one in linux_commands(made.files["VERIFY.txt"].decode()) if "cms -verify" in one]
    assert run_plain(command, folder, plain_path).returncode == 0
    done = run_plain(re.sub(r"-attime \d+", "", command), folder, plain_path)
    assert done.returncode != 0
    assert "expired" in done.stderr
    made.archive.close()


def test_every_command_of_the_records_table_prints_the_bytes(
    lines: Made, flows: Made, plain_path: Path, tmp_path: Path
) -> None:
    import csv
    import io

    for name, made in (("lines", lines), ("flows", flows)):
        folder = write_folder(tmp_path / name, made.files)
        for row in csv.DictReader(io.StringIO(made.files["data/records.csv"].decode("utf-8-sig"))):
            done = run_plain(row["show"], folder, plain_path)
            assert done.returncode == 0, f"{row['show']}\n{done.stderr}"
            assert done.stdout


def test_a_changed_file_fails_with_coreutils_or_openssl_alone(stamped: Made, plain_path: Path, tmp_path: Path) -> None:
    """Every file: what neither manifest lists is the signature and its time stamp, which openssl reads."""
    folder = write_folder(tmp_path / "bag", stamped.files)
    commands = linux_commands(stamped.files["VERIFY.txt"].decode())
    for name, stored in stamped.files.items():
        changed = bytearray(stored)
        # Of a CMS the signature stands at its end; openssl leaves version numbers and the like unread.
        changed[-5 if name.endswith((".p7s", ".tsr")) else len(changed) // 2] ^= 1
        (folder / name).write_bytes(changed)
        codes = [run_plain(command, folder, plain_path).returncode for command in commands]
        (folder / name).write_bytes(stored)
        assert any(codes), f"{name} was changed and no command noticed"


def test_the_script_needs_nothing_of_phayan(lines: Made, tmp_path: Path) -> None:
    import sys

    folder = write_folder(tmp_path / "bag", lines.files)
    command = [sys.executable, "-I", str(folder / "verify_package.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VERIFIED / ผ่านการตรวจสอบ" in done.stdout
    (folder / "data/answer.csv").write_bytes(b"x")
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "DOES NOT VERIFY / ไม่ผ่านการตรวจสอบ" in done.stdout


def test_the_bag_is_one_for_other_peoples_tools(lines: Made, tmp_path: Path) -> None:
    import bagit

    folder = write_folder(tmp_path / "bag", lines.files)
    bagit.Bag(str(folder)).validate()


# Time stamps on request


def answering(folder: Path, authorities: list[Authority], clock: ManualClock, request: object = None) -> StampDesk:
    more = {} if request is None else {"request": request}
    return StampDesk(folder, authorities, clock, **more)  # type: ignore[arg-type]


def test_a_stamp_is_asked_for_by_a_file(tmp_path: Path, authority: MadeAuthority) -> None:
    folder = tmp_path / "stamps"
    desk = answering(folder, [authority.pinned()], ManualClock(), lambda one, data, seconds: authority.stamp(data))
    assert desk.answer_requests() == 0
    response, problem = ask_for_stamp(folder, "2026-11-20-abcdef", b"p7s", 5, lambda _: _answer(desk, folder))
    assert problem == ""
    assert response
    assert list(folder.iterdir()) == []


def _answer(desk: StampDesk, folder: Path) -> None:
    now = desk._clock.unix_ns()
    for path in folder.iterdir():
        os.utime(path, ns=(now, now))
    desk.answer_requests()


def test_without_authority_or_answer_the_reason_is_told(tmp_path: Path, authority: MadeAuthority) -> None:
    folder = tmp_path / "stamps"

    def unreachable(one: Authority, data: bytes, seconds: float) -> bytes:
        raise TimestampError("no route", code="authority_unreachable")

    for desk, expected in (
        (answering(folder, [], ManualClock()), "no time stamp authority is configured"),
        (answering(folder, [authority.pinned()], ManualClock(), unreachable), "no route"),
    ):
        response, problem = ask_for_stamp(folder, "one", b"p7s", 5, lambda _, desk=desk: _answer(desk, folder))
        assert (response, problem) == (None, expected)
    assert ask_for_stamp(folder, "one", b"p7s", 0.3, lambda _: None) == (None, NO_ANSWER)
    assert list(folder.iterdir()) == []


def test_the_second_authority_is_asked_where_the_first_is_away(tmp_path: Path, authority: MadeAuthority) -> None:
    folder, asked = tmp_path / "stamps", []

    def first_away(one: Authority, data: bytes, seconds: float) -> bytes:
        asked.append(one.name)
        if len(asked) == 1:
            raise TimestampError("no route", code="authority_unreachable")
        return authority.stamp(data)

    desk = answering(folder, [authority.pinned(), authority.pinned()], ManualClock(), first_away)
    response, _ = ask_for_stamp(folder, "one", b"p7s", 5, lambda _: _answer(desk, folder))
    assert response
    assert len(asked) == 2


def test_names_that_are_none_and_requests_nobody_waits_for_are_not_answered(tmp_path: Path) -> None:
    folder = tmp_path / "stamps"
    folder.mkdir()
    clock = ManualClock()
    desk = answering(folder, [], clock)
    for name in ("a b.request", "x.tsr", ".request", "x" * 80 + ".request"):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, ns=(clock.unix_ns(), clock.unix_ns()))
    assert desk.answer_requests() == 0
    (folder / "old.request").write_bytes(b"")
    os.utime(folder / "old.request", ns=(clock.unix_ns() - 3600 * NS, clock.unix_ns() - 3600 * NS))
    assert desk.answer_requests() == 0
    assert not (folder / "old.request").exists()


# Witnesses and two-sided time


def test_cosignatures_and_times_before_and_after_are_in_the_package(tmp_path: Path, authority: MadeAuthority) -> None:
    archive = PackageArchive(tmp_path / "archive")
    log = archive.log
    witness = MemoryWitness(read_log_key(log.paths), log.clock)
    archive.trust = AnchorTrust(witnesses=(witness.key,), authorities=(authority.pinned(),))
    store = AnchorStore(log.paths, log.clock)
    store.open(read_log_key(log.paths))

    def anchor() -> None:
        note, checkpoint = read_checkpoint_note(log.paths)
        head = PublishedHead(note, checkpoint)
        store.keep_cosignature(head, witness.cosign(note).line)
        store.keep_token(head, authority.name, authority.stamp(note))

    archive.login("open")
    archive.conntrack("NEW")
    at = archive.now_ns
    archive.log.clock.advance(5)
    archive.conntrack("DESTROY")
    archive.login("close")
    archive.seal_roots()
    anchor()
    log.clock.advance(60)
    archive.line("later")
    anchor()
    answer = archive.who(at)
    built = archive.build(answer)
    files = archive.sign(built.bag)
    (facts,) = built.content.logs
    assert facts.cosigned_by == (witness.name,)
    assert [one.by for one in built.content.outside_after].count("witness") == 1
    assert [one.by for one in built.content.outside_after].count(AUTHORITY) == 1

    path = write_zip(tmp_path / "p.zip", files)
    said = verify_package(str(path))
    assert any("cosigned by w1" in english for english, _ in said)
    assert any("before 20" in english for english, _ in said)
    names = [name for name in files if "/anchors/" in name]
    assert [name for name in names if name.endswith(".consistency")]
    for name in names:
        changed = bytearray(files[name])
        changed[len(changed) // 3] ^= 1
        with pytest.raises(PackageError):
            verify_package(
                str(write_zip(path, archive.sign(_rebagged({**files, name: bytes(changed)}))))
            )  # fmt: skip
    archive.close()


def _rebagged(files: dict[str, bytes]) -> dict[str, bytes]:
    from archive.package.bag import make_bag

    payload = {name: data for name, data in files.items() if name.startswith("data/")}
    return make_bag(payload, {name: files[name] for name in ("VERIFY.txt", "verify_package.py")}, {})


# For one receiver


def _receiver(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "court")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def test_an_envelope_is_opened_by_openssl(lines: Made, tmp_path: Path) -> None:
    key = rsa.generate_private_key(65_537, 2048)
    pem = _receiver(key)
    stored = write_zip(tmp_path / "p.zip", lines.files).read_bytes()
    (tmp_path / "e.p7m").write_bytes(encrypt_package(stored, read_receiver(pem)))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (tmp_path / "cert.pem").write_bytes(pem)
    subprocess.run(
        ["openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", tmp_path / "e.p7m", "-recip",
         tmp_path / "cert.pem", "-inkey", tmp_path / "key.pem", "-out", tmp_path / "opened.zip"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert (tmp_path / "opened.zip").read_bytes() == stored
    assert b"somchai" not in (tmp_path / "e.p7m").read_bytes()


def test_a_receiver_that_cannot_be_encrypted_to_is_refused() -> None:
    for pem in (b"", b"no", _receiver(ec.generate_private_key(ec.SECP256R1()))):
        with pytest.raises(ArchiveFormatError) as caught:
            read_receiver(pem)
        assert caught.value.code == "receiver"
