"""Copies to OpenSSH's sshd, started for the test on a loopback port with keys of its own."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "archive" / "copies"))

from copy_targets import CopiedLog, Failing

from archive.copies.copier import Copier
from archive.copies.fetch import fetch, plan_fetch
from archive.copies.sftp_target import SftpTarget
from archive.copies.target import CopyError
from archive.verify.run import verify_archive
from tests.appliance import free_port

SSHD = "/usr/sbin/sshd"
SECONDS = 10.0


@dataclass
class Server:
    folder: Path
    port: int
    host_key: str
    user: str

    def target(self, root: str = "copy", host_key: str = "") -> SftpTarget:
        return SftpTarget(
            user=self.user, host="127.0.0.1", port=self.port, root=str(self.folder / root),
            key_file=self.folder / "client", host_key=host_key or self.host_key,
        )  # fmt: skip


def make_key(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if not Path(SSHD).exists() or shutil.which("ssh-keygen") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("sshd (openssh-server) is not installed")
        pytest.skip("sshd (openssh-server) is not installed")
    folder = tmp_path / "server"
    folder.mkdir(mode=0o700)
    host_key = make_key(folder / "host")
    (folder / "authorized").write_text(make_key(folder / "client"))
    port = free_port()
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nPermitRootLogin prohibit-password\n"
        "Subsystem sftp internal-sftp\n"
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=log)
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    try:
        deadline = time.monotonic() + SECONDS
        while "Server listening" not in (folder / "log").read_text():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield Server(folder, port, host_key, user)
    finally:
        process.terminate()
        process.wait(SECONDS)


def copier(log: CopiedLog, target: object) -> Copier:
    return Copier("school", log.paths, target, log.clock, retention_days=92)  # type: ignore[arg-type]


def test_a_copy_over_ssh_is_the_log(server: Server, tmp_path: Path) -> None:
    log, target = CopiedLog(tmp_path), server.target()
    log.grow(b"first", b"second" * 100_000, roots=True)
    copier(log, target).run()
    log.grow(b"third", roots=True)
    copier(log, target).run()
    place = server.folder / "copy"
    assert verify_archive(place, place / "head").exit_code == 0
    assert (place / "head").read_bytes() == log.paths.head.read_bytes()
    fetched = tmp_path / "fetched"
    fetch(target, fetched, plan_fetch(target), lambda count: None)
    report = verify_archive(fetched, fetched / "head")
    assert report.exit_code == 0, report.to_text()
    assert report.chunks == 3
    target.close()


def test_a_line_that_breaks_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    log, target = CopiedLog(tmp_path), server.target()
    log.grow(b"first", b"second", roots=True)
    for at in (5, 9, 14, 21):
        with pytest.raises(CopyError):
            copier(log, Failing(target, at)).run()
        target.close()
    copier(log, target).run()
    place = server.folder / "copy"
    report = verify_archive(place, place / "head")
    assert report.exit_code == 0, report.to_text()
    target.close()


def test_another_host_key_is_refused(server: Server, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    target = server.target(host_key=other)
    with pytest.raises(CopyError, match="another host key"):
        target.put("log/x", b"secret")
    assert not (server.folder / "copy").exists()
    target.close()


def test_files_of_every_kind(server: Server) -> None:
    target = server.target()
    target.append("a/b/grows", 0, b"0123")
    target.append("a/b/grows", 4, b"4567")
    target.append("a/b/grows", 6, b"x")
    assert b"".join(target.read("a/b/grows")) == b"012345x"
    assert b"".join(target.read("a/b/grows", 2, 3)) == b"234"
    with pytest.raises(CopyError) as caught:
        target.append("a/b/grows", 99, b"gap")
    assert caught.value.code == "changed"
    target.put("a/c", b"whole")
    assert target.list("a/") == {"a/b/grows": 7, "a/c": 5}
    assert target.list("none/") == {}
    target.rename("a", "former/1/a")
    assert target.list("former/") == {"former/1/a/b/grows": 7, "former/1/a/c": 5}
    target.remove("former/1/a/b/grows")
    target.remove("former/1/a/b/grows")
    assert not (server.folder / "copy/former/1/a/b").exists()
    with pytest.raises(CopyError) as caught:
        b"".join(target.read("a/c"))
    assert caught.value.code == "missing"
    target.close()
