"""Making packages: each is a job that answers, builds, gets its approval sealed, has the sealer sign, and is kept."""

import base64
import hashlib
import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from archive.ask.audit import Actor, Auditor
from archive.clock import Clock
from archive.durable import make_directory, replace_file
from archive.errors import ArchiveError, AskError
from archive.index.engine import Engine
from archive.local_rpc import call_local
from archive.origin import ArchivePaths
from archive.package.bag import SIGNATURE_NAME
from archive.package.builder import PackageFacts, build_bag, encode_request
from archive.package.signer import APPROVAL_EVENT
from archive.package.verify_package import verify_package, zip_package
from archive.time_text import format_iso

SEAL_WAIT_SECONDS = 90.0
"""The approval is sealed within two head intervals and indexed right after; longer means that the sealer
stands still."""
POLL_SECONDS = 0.5
MAX_BUILDING = 4
"""Packages made at a time: each holds its chunks in memory."""
ENDED = ("ready", "failed")
INTERRUPTED = "the appliance was stopped while this package was made; make it again"
_IDENTIFIER = re.compile(r"\d{4}-\d{2}-\d{2}-[0-9a-f]{6}\Z", re.ASCII)
SLICE_BYTES = 4 * 1024 * 1024
"""Bytes of one piece of a download."""


class PackageDesk:
    """Packages of one log in `directory`: `<id>.zip` beside `<id>.json`."""

    def __init__(
        self,
        paths: ArchivePaths,
        engine: Engine,
        auditor: Auditor,
        clock: Clock,
        zone: str,
        site_name: str,
        software: str,
    ) -> None:
        self._paths = paths
        self._engine = engine
        self._auditor = auditor
        self._clock = clock
        self._zone = zone
        self._site_name = site_name
        self._software = software
        self._directory = paths.directory / "packages"
        self._jobs: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        make_directory(self._directory, mode=0o700)

    def create(self, actor: Actor, ask_again: Callable[[], dict[str, Any]], title: str, reason: str) -> dict[str, Any]:
        """Begin a package; `ask_again` gives the answer it is made of. Returns its `id` at once."""
        if not reason.strip():
            raise AskError("a package needs a reason, e.g. the number of the letter", code="reason_missing")
        now = self._clock.unix_ns()
        identifier = f"{format_iso(now, self._zone)[:10]}-{secrets.token_hex(3)}"
        job = {
            "id": identifier,
            "created": format_iso(now, self._zone),
            "title": title,
            "reason": reason,
            "made_by": actor.name,
            "state": "building",
            "progress": 0.1,
            "message": "",
        }
        with self._lock:
            building = sum(other["state"] not in ENDED for other in self._jobs.values())
            if building >= MAX_BUILDING:
                raise AskError(f"{building} packages are being made; try again when one is ready", code="busy")
            self._jobs[identifier] = job
        threading.Thread(
            target=self._run, args=(job, actor, ask_again), name=f"package-{identifier}", daemon=True
        ).start()
        return {"id": identifier}

    def list(self) -> dict[str, Any]:
        """Every package, newest first."""
        found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in self._directory.glob("*.json")}
        with self._lock:
            found |= {key: dict(job) for key, job in self._jobs.items()}
        for key, job in found.items():
            if key not in self._jobs and job["state"] not in ENDED:
                found[key] = {**job, "state": "failed", "message": INTERRUPTED}
        return {"packages": sorted(found.values(), key=lambda job: job["created"], reverse=True)}

    def fetch(self, identifier: str, offset: int) -> dict[str, Any]:
        """A slice of a ready package from `offset`."""
        path = self._directory / f"{identifier}.zip"
        if not _IDENTIFIER.match(identifier) or not path.exists() or not path.with_suffix(".json").exists():
            raise AskError(f"there is no package {identifier[:64]!r}", code="no_such_package")
        meta = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if meta["state"] != "ready":
            raise AskError(f"package {identifier} is not ready", code="no_such_package")
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(min(offset, size))
            data = file.read(SLICE_BYTES)
        return {
            "data_base64": base64.b64encode(data).decode(),
            "total_bytes": size,
            "sha256": meta["sha256"],
            "name": f"phayan-{identifier}.zip",
        }

    def _run(self, job: dict[str, Any], actor: Actor, ask_again: Callable[[], dict[str, Any]]) -> None:
        try:
            self._keep(job)
            self._make(job, actor, ask_again)
        except ArchiveError as error:
            self._fail(job, str(error))
        except OSError as error:
            self._fail(job, error.strerror or type(error).__name__)
        except Exception as error:
            self._fail(job, f"internal failure: {type(error).__name__}")
            raise

    def _fail(self, job: dict[str, Any], message: str) -> None:
        self._update(job, state="failed", message=message)
        with suppress(OSError):
            self._keep(job)

    def _keep(self, job: dict[str, Any]) -> None:
        """Write the job beside its package, so that a restart shows what became of it."""
        with self._lock:
            text = json.dumps(job, ensure_ascii=False, sort_keys=True)
        replace_file(self._directory / f"{job['id']}.json", text.encode(), mode=0o600)

    def _make(self, job: dict[str, Any], actor: Actor, ask_again: Callable[[], dict[str, Any]]) -> None:
        answer = ask_again()
        if not answer["candidates"]:
            raise AskError("the question has no candidate, so there is nothing to hand over", code="nothing_to_package")
        facts = PackageFacts(
            identifier=job["id"],
            title=job["title"],
            reason=job["reason"],
            maker=actor.name,
            made_at=job["created"],
            site_name=self._site_name,
            software=self._software,
        )
        bag = build_bag(self._paths, answer, facts)
        tag_manifest = bag["tagmanifest-sha256.txt"]
        digest = hashlib.sha256(tag_manifest).hexdigest()
        self._update(job, state="waiting", progress=0.4, message="waiting until the approval is sealed")
        approval = {"package": job["id"], "tag_manifest_sha256": digest, "mode": "one_person"}
        self._auditor.record(actor, APPROVAL_EVENT, approval, job["reason"])
        leaf_index, row = self._wait_sealed(job, digest)
        self._update(job, state="signing", progress=0.9, message="")
        signed = call_local(
            self._paths.run / "sealer.sock", "sign_package", **encode_request(tag_manifest, leaf_index, row)
        )
        bag[SIGNATURE_NAME] = base64.b64decode(signed["signature_base64"])
        stored = zip_package(f"phayan-{job['id']}", bag)
        path = self._directory / f"{job['id']}.zip"
        replace_file(path, stored, mode=0o600)
        verify_package(str(path))
        self._update(
            job,
            state="ready",
            progress=1.0,
            question=answer["asked"],
            certainty=answer["certainty"],
            size_bytes=len(stored),
            sha256=hashlib.sha256(stored).hexdigest(),
            approval_leaf_index=leaf_index,
            approval_row=row,
        )
        self._keep(job)

    def _wait_sealed(self, job: dict[str, Any], digest: str) -> tuple[int, int]:
        """Leaf and row of the approval, once it is sealed and indexed."""
        started = time.monotonic()
        while time.monotonic() - started < SEAL_WAIT_SECONDS:
            rows = self._engine.query(
                "SELECT leaf_index, row FROM {db}.audit WHERE action = {action:String} "
                "AND JSONExtractString(question, 'tag_manifest_sha256') = {digest:String} LIMIT 1",
                {"action": APPROVAL_EVENT, "digest": digest},
            )
            if rows:
                return int(rows[0]["leaf_index"]), int(rows[0]["row"])
            waited = (time.monotonic() - started) / SEAL_WAIT_SECONDS
            self._update(job, progress=round(0.4 + 0.5 * waited, 3))
            time.sleep(POLL_SECONDS)
        raise AskError("the approval was not sealed in time; look at `phayan status`", code="not_sealed")

    def _update(self, job: dict[str, Any], **values: Any) -> None:
        with self._lock:
            job.update(values)


def package_file(directory: Path, identifier: str) -> Path:
    """Where a package lies."""
    return directory / "packages" / f"{identifier}.zip"
