"""A package of a `who` answer, from the running appliance to the desk of somebody who has only coreutils and
openssl."""

import json
import random
import re
import socket
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archive.package.verify_package import PackageError, verify_package
from tests.appliance import RunningAppliance
from tests.archive.tsa_maker import MadeAuthority
from tests.archive.tsa_server import TsaServer
from tests.e2e.lab import wait_until
from tests.fault.load import accounting_request

INSIDE, OUTSIDE, SERVER = "10.0.0.7", "203.0.113.9", "198.51.100.80"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extracted folder of a package made by `phayan package create`."""
    directory = tmp_path_factory.mktemp("package")
    appliance = RunningAppliance(directory / "office")
    authority = TsaServer(MadeAuthority("tsa-one", directory / "tsa"))
    (directory / "ca.pem").write_bytes(authority.authority.root.pem)
    appliance.configure(
        f"""
[cases]
one_person = true
[[anchors.authority]]
name = "tsa-one"
url = "{authority.url}"
ca_file = "ca.pem"
issuer_file = "ca.pem"
"""
    )
    appliance.start()
    try:
        appliance.add_user("somchai", "สมชาย ใจดี", "correct horse 1")
        at = _make_traffic(appliance)
        question = [OUTSIDE, "--port", "40000", "--at", at.isoformat(), "--tolerance", "2"]
        wait_until(
            lambda: appliance.ask("who", *question)["certainty"] in ("exact", "assumed"), 30, "the answer is indexed"
        )
        case = _open_case(appliance, at)
        out = directory / "package.zip"
        making = ("package", "create", *question, "--reason", "letter 12/2569", "--title", "เรื่องทดสอบ")
        done = appliance.phayan(*making, "--case", case, "--out", str(out))
        assert done.returncode == 0, done.stderr
        asked = ("package", "create", OUTSIDE, "--port", "1", "--at", at.isoformat(), "--reason", "x")
        refused = appliance.phayan(*asked, "--case", case)
        assert refused.returncode == 2
        assert "no candidate" in refused.stderr
        refused = appliance.phayan(*asked, "--case", "case-2026-0009")
        assert refused.returncode == 2
        authority.close()
        alone = appliance.phayan(*making, "--case", case, "--out", str(directory / "unstamped.zip"))
        assert alone.returncode == 0, alone.stderr
        said = verify_package(str(directory / "unstamped.zip"))
        assert any("NOT PROVEN: when it was signed" in english for english, _ in said)
    finally:
        appliance.stop()
    with zipfile.ZipFile(out) as archive:
        archive.extractall(directory / "bag")
    return next((directory / "bag").iterdir())


def _open_case(appliance: RunningAppliance, at: datetime) -> str:
    """The number of an approved case about the outside address."""
    around = [(at + timedelta(hours=hours)).isoformat() for hours in (-1, 1)]
    opened = appliance.phayan(
        "cases", "open", "--title", "เรื่องทดสอบ", "--ground", "order", "--letter", "12/2569", "--officer", "Prasit",
        "--unit", "Police", "--item", "2", "--address", OUTSIDE, "--from", around[0], "--until", around[1],
        "--format", "json",
    )  # fmt: skip
    assert opened.returncode == 0, opened.stderr
    case = json.loads(opened.stdout)
    number = case.get("id") or case["case"]["id"]
    approved = appliance.phayan("cases", "approve", number)
    assert approved.returncode == 0, approved.stderr
    return number


def _make_traffic(appliance: RunningAppliance) -> datetime:
    """One session, and one translation opened and closed within it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(5)
        link.sendto(accounting_request(1, "session-1"), ("127.0.0.1", appliance.ports["radius_acct"]))
        assert link.recv(100)[0] == 5
        time.sleep(1.2)
        at = datetime.now(UTC)
        tuples = f"src={INSIDE} dst={SERVER} sport=40000 dport=443 src={SERVER} dst={OUTSIDE} sport=443 dport=40000"
        for kind, moment in (("NEW", time.time()), ("DESTROY", time.time() + 0.5)):
            line = f"<30>conntrack: [{moment:.6f}] [{kind}] tcp 6 120 SYN_SENT {tuples} id=77"
            link.sendto(line.encode(), ("127.0.0.1", appliance.ports["syslog_udp"]))
    return at


def commands_of(verify_txt: str) -> list[str]:
    """The shell commands of the Linux part of VERIFY.txt, as a reader would copy them."""
    part = verify_txt.split("2. Windows")[0]
    joined = re.sub(r"\\\n\s+", "", part)
    return [
        line.strip()
        for line in joined.splitlines()
        if line.startswith("   ") and line.strip().split()[0] in ("sha256sum", "openssl")
    ]


def test_the_commands_of_verify_txt_pass(package: Path) -> None:
    commands = commands_of((package / "VERIFY.txt").read_text(encoding="utf-8"))
    assert len(commands) == 6
    assert (package / "tagmanifest-sha256.txt.p7s.tsr").exists()
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=package, capture_output=True, text=True, check=False)  # noqa: S602
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_the_script_passes_without_phayan(package: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", str(package / "verify_package.py"), str(package)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VERIFIED" in done.stdout


def test_the_answer_is_in_both_languages_and_cites_records(package: Path) -> None:
    text = (package / "data/letter.txt").read_text(encoding="utf-8")
    assert "สมชาย ใจดี" in text
    assert "Absence of a record is not proof of absence" in text
    csv = (package / "data/answer.csv").read_bytes()
    assert csv.startswith(b"\xef\xbb\xbf")
    raw = [p.read_bytes() for p in (package / "data/records").iterdir()]
    assert any(b"[NEW]" in r and b"id=77" in r for r in raw)


def test_one_changed_byte_in_any_file_fails(package: Path, full_counts: bool) -> None:
    chosen = random.Random(11)
    files = sorted(p for p in package.rglob("*") if p.is_file())
    flips = 200 if full_counts else 12
    for path in files:
        stored = path.read_bytes()
        offsets = (
            range(len(stored)) if path.suffix == ".p7s" else chosen.sample(range(len(stored)), min(flips, len(stored)))
        )
        for offset in offsets:
            changed = bytearray(stored)
            changed[offset] ^= 1 << chosen.randrange(8)
            path.write_bytes(changed)
            with pytest.raises(PackageError):
                verify_package(str(package))
        path.write_bytes(stored)
    verify_package(str(package))


def test_a_changed_file_fails_with_coreutils_or_openssl_alone(package: Path) -> None:
    """Every file but the signature itself: openssl leaves some bytes of a CMS unread (its version numbers, the
    certificate beside the pinned one), and only the script covers those."""
    commands = commands_of((package / "VERIFY.txt").read_text(encoding="utf-8"))
    for path in sorted(p for p in package.rglob("*") if p.is_file() and p.suffix not in (".p7s", ".tsr")):
        stored = path.read_bytes()
        changed = bytearray(stored)
        changed[len(changed) // 2] ^= 1
        path.write_bytes(changed)
        codes = [
            subprocess.run(command, shell=True, cwd=package, capture_output=True, check=False).returncode  # noqa: S602
            for command in commands[:3]
        ]
        path.write_bytes(stored)
        assert any(codes), f"{path.name} was changed and no command noticed"


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "link", "swapped leaves"])
def test_files_added_removed_or_swapped_fail(package: Path, change: str) -> None:
    victim = package / "data/dictionary.csv"
    stored = victim.read_bytes()
    extra = package / "data/extra.txt"
    leaves = sorted((package / "data/logs/1/leaves").iterdir())
    try:
        if change == "added":
            extra.write_text("more")
        elif change == "removed":
            victim.unlink()
        elif change == "renamed":
            victim.rename(extra)
        elif change == "link":
            extra.symlink_to(victim)
        else:
            first, second = leaves[0].read_bytes(), leaves[1].read_bytes()
            leaves[0].write_bytes(second)
            leaves[1].write_bytes(first)
        with pytest.raises(PackageError):
            verify_package(str(package))
    finally:
        extra.unlink(missing_ok=True)
        victim.write_bytes(stored)
        if change == "swapped leaves":
            leaves[0].write_bytes(first)
            leaves[1].write_bytes(second)
    verify_package(str(package))
