"""From a copy to an appliance: fetch, verify, lay out, begin a new log. The old log is never signed again; its
checkpoint key is in no copy."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from archive.clock import SystemClock
from archive.copies.fetch import fetch, fetch_newest_bundle, plan_fetch
from archive.copies.state_bundle import decrypt_bundle, unpack_bundle
from archive.copies.target import Target
from archive.durable import make_directory, replace_file, sync_directory
from archive.event_record import encode_event
from archive.key_source import KeySource
from archive.keys import GivenKeys, read_package_key
from archive.origin import ArchivePaths
from archive.sealing.machine import remember_machine
from archive.spool import SpoolWriter
from archive.succession import begin_new_log, finish_change
from archive.verify.anchors import Trust
from archive.verify.report import Report
from archive.verify.run import verify_archive
from deploy.errors import DeployError
from deploy.first_start import create_portal_certificate
from deploy.layout import Appliance
from deploy.state_files import lay_out_state, unwrap_package_key

FETCHED = "fetched"
ALLOWED = frozenset({FETCHED, "prepared", "phayan.toml", "recovery.recipient"})
"""What may be in the directory before: what an earlier try has fetched, keys of `phayan move prepare`, settings."""


@dataclass
class Copied:
    """A copy that lies in `folder` and was verified; `state` is the folder of its unpacked state, if it was opened."""

    folder: Path
    report: Report
    origin: str
    state: Path | None = None
    bundle: str | None = None


def check_empty(appliance: Appliance) -> None:
    """Raises DeployError where an archive, or anything else, is there."""
    if appliance.directory.exists():
        found = sorted(path.name for path in appliance.directory.iterdir() if path.name not in ALLOWED)
        if found:
            raise DeployError(
                f"{appliance.directory} is not empty ({found[0]} is there); name a directory that is not used"
            )
    if appliance.paths.head.exists():
        raise DeployError(f"{appliance.paths.head} is there: a log was signed here; name another directory")


def fetch_and_verify(
    appliance: Appliance, target: Target, trust: Trust | None, bar: Callable[[int], Callable[[int], None]]
) -> Copied:
    """Everything comes to `DIR/fetched` and is verified there. Raises DeployError, CopyError, OSError."""
    folder = appliance.directory / FETCHED
    make_directory(folder, mode=0o750)
    plan = plan_fetch(target)
    fetch(target, folder, plan, bar(sum(size for _, size in plan.values())))
    report = verify_archive(folder, folder / "head", trust=trust)
    if report.could_not_run is not None or report.origin is None:
        raise DeployError(
            f"what came from {target.address} cannot be verified: {report.could_not_run or 'no usable head'}"
        )
    return Copied(folder, report, report.origin)


def open_state(copied: Copied, target: Target, identity: str) -> None:
    """Fetch and unpack the newest state bundle. Raises CopyError, OSError."""
    encrypted, plain = copied.folder / "state.tar.age", copied.folder / "state.tar"
    copied.bundle = fetch_newest_bundle(target, encrypted)
    if copied.bundle is None:
        return
    copied.state = copied.folder / "state"
    shutil.rmtree(copied.state, ignore_errors=True)
    try:
        decrypt_bundle(encrypted, plain, identity)
        unpack_bundle(plain, copied.state)
    finally:
        plain.unlink(missing_ok=True)
        encrypted.unlink(missing_ok=True)


def begin_again(
    appliance: Appliance,
    copied: Copied,
    source: KeySource,
    origin: str,
    why: str,
    *,
    identity: str | None = None,
    known: bytes | None = None,
    accepted: str = "",
) -> list[str]:
    """Lay out what was verified, begin log `origin`, and put the state in its place. Returns the names of the state
    files. `accepted` is the reason for which defects are accepted; it is the first sealed record of the new log."""
    paths = appliance.paths
    package = unwrap_package_key(copied.state, identity) if copied.state is not None and identity else None
    given = source.given or GivenKeys()
    if package is not None and source.pkcs11 is None:
        given = GivenKeys(given.checkpoint, read_package_key(*package))
    source = KeySource(source.directory, source.is_credential, source.pkcs11, given)
    _lay_out(paths, copied.folder)
    begin_new_log(paths, source, origin, why, SystemClock(), known=known)
    finish_change(paths)
    for folder in ("accounts", "packages", "portal"):
        make_directory(appliance.directory / folder, mode=0o700)
    names = lay_out_state(copied.state, appliance.directory) if copied.state is not None else []
    if not (appliance.directory / "portal" / "portal.key").exists():
        create_portal_certificate(appliance.directory / "portal", appliance.config.portal.host_name)
    _note(paths, copied, origin, why, accepted)
    remember_machine(paths)
    shutil.rmtree(copied.folder, ignore_errors=True)
    return names


def _lay_out(paths: ArchivePaths, folder: Path) -> None:
    """The log last: a directory that has one is not empty any more."""
    for name in ("anchors", "former", "log"):
        if (folder / name).exists():
            with suppress(FileNotFoundError):
                os.replace(folder / name, paths.directory / name)
    replace_file(paths.head, (folder / "head").read_bytes())
    for one in (paths.spool, paths.run, paths.segments):
        make_directory(one)
    sync_directory(paths.directory)


def _note(paths: ArchivePaths, copied: Copied, origin: str, why: str, accepted: str) -> None:
    """The first record of the new log: what it was begun from."""
    values = {
        "process": "restore",
        "why": why,
        "origin": origin,
        "former": copied.origin,
        "tree_size": copied.report.tree_size,
        "defects": copied.report.defect_count,
        "accepted": accepted,
        "state": copied.bundle,
    }
    clock = SystemClock()
    writer = SpoolWriter(paths.spool, "system", clock=clock)
    try:
        writer.append(encode_event("log_begun", clock.unix_ns(), values), listener="system")
    finally:
        writer.close()
