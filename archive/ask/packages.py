"""Making packages: each is a job that answers, builds, gets its approval sealed, has the sealer sign, has an outside
authority stamp the signature, and is kept."""

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from archive.anchor.stamp_request import ask_for_stamp
from archive.ask.audit import Actor, Auditor
from archive.ask.package_store import PackageStore
from archive.attribution.question import Question
from archive.clock import Clock
from archive.errors import ArchiveError, AskError
from archive.local_rpc import call_local
from archive.package.bag import SIGNATURE_NAME
from archive.package.builder import BuiltPackage, PackageSources, build_package
from archive.package.content import PackageFacts
from archive.package.signer import APPROVAL_EVENT
from archive.package.verify_package import TOKEN, PackageError, verify_package, zip_package
from archive.time_text import format_iso
from archive.timestamp.token import verify_token

SEAL_WAIT_SECONDS = 90.0
"""The approval is sealed within two head intervals and indexed right after; longer: the sealer stands still."""
ROOT_WAIT_SECONDS = 60.0
"""A records root is sealed within two head intervals of being asked for, once the index process has told the units."""
POLL_SECONDS = 0.5
MAX_BUILDING = 4
"""Packages made at a time: each holds its chunks in memory and has a decoding process."""
ENDED = ("ready", "failed")
INTERRUPTED = "the appliance was stopped while this package was made; make it again"


class CaseDesk(Protocol):
    """Of the desk of cases, what packages need."""

    def check_export(self, actor: Actor, case_id: str, question: Question) -> dict[str, Any]:
        """Facts of the case. Raises AskError `not_allowed`, `no_such_case`, `not_approved`, `out_of_scope`."""
        ...

    def record_package(
        self, actor: Actor, case_id: str, package_id: str, sha256: str, counts: Mapping[str, int]
    ) -> None: ...

    def record_download(self, actor: Actor, package_id: str, **values: Any) -> None: ...


@dataclass(frozen=True)
class PackageRequest:
    """What is asked for. `ask_again` answers `question` itself: what was checked is what is handed over."""

    question: Question
    ask_again: Callable[[], dict[str, Any]]
    case_id: str
    title: str
    reason: str


class PackageDesk:
    """Packages of one archive in `DIR/packages`."""

    def __init__(
        self,
        sources: PackageSources,
        auditor: Auditor,
        cases: CaseDesk,
        clock: Clock,
        zone: str,
        site_name: str,
        software: str,
    ) -> None:
        self._sources = sources
        self._paths = sources.paths
        self._engine = sources.logs.newest.engine
        self._auditor = auditor
        self._cases = cases
        self._clock = clock
        self._zone = zone
        self._site_name = site_name
        self._software = software
        self._store = PackageStore(sources.paths.directory / "packages")
        self._jobs: dict[str, dict[str, Any]] = {}
        self._fetched: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def create(self, actor: Actor, request: PackageRequest) -> dict[str, Any]:
        """Begin a package. Returns its `id` at once. Raises AskError where the case does not allow it."""
        if not request.case_id:
            raise AskError(
                "a package is made under a case; give its number, e.g. --case case-2026-0001", code="no_case"
            )
        case = self._cases.check_export(actor, request.case_id, request.question)
        if not request.reason.strip():
            raise AskError("a package needs a reason, e.g. the number of the letter", code="reason_missing")
        now = self._clock.unix_ns()
        identifier = f"{format_iso(now, self._zone)[:10]}-{secrets.token_hex(3)}"
        job = {
            "id": identifier,
            "created": format_iso(now, self._zone),
            "created_unix_ns": str(now),
            "case": request.case_id,
            "title": request.title,
            "reason": request.reason,
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
            target=self._run, args=(job, actor, request, case), name=f"package-{identifier}", daemon=True
        ).start()
        return {"id": identifier}

    def list(self) -> dict[str, Any]:
        """Every package, newest first."""
        found = self._store.jobs()
        with self._lock:
            found |= {key: dict(job) for key, job in self._jobs.items()}
        for key, job in found.items():
            if key not in self._jobs and job["state"] not in ENDED:
                found[key] = {**job, "state": "failed", "message": INTERRUPTED}
        return {"packages": sorted(found.values(), key=lambda job: job["created"], reverse=True)}

    def fetch(self, actor: Actor, identifier: str, offset: int) -> dict[str, Any]:
        """A slice of a ready package from `offset`. A download is noted in the case for each slice from 0, and for the
        first one that `actor` takes since this process began, whatever its offset."""
        piece = self._store.slice(identifier, offset)
        if offset == 0 or (actor.name, identifier) not in self._fetched:
            self._cases.record_download(actor, identifier, sha256=piece["sha256"])
            self._fetched.add((actor.name, identifier))
        return piece

    def _run(self, job: dict[str, Any], actor: Actor, request: PackageRequest, case: dict[str, Any]) -> None:
        try:
            self._keep(job)
            self._make(job, actor, request, case)
        except ArchiveError as error:
            self._fail(job, str(error))
        except PackageError as error:
            self._fail(job, f"the package does not verify and was not kept: {error}")
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
        with self._lock:
            kept = dict(job)
        self._store.keep_job(kept)

    def _make(self, job: dict[str, Any], actor: Actor, request: PackageRequest, case: dict[str, Any]) -> None:
        answer = request.ask_again()
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
            made_unix_ns=int(job["created_unix_ns"]),
            zone=self._zone,
            case=case,
        )
        built = self._build(job, answer, facts)
        bag = dict(built.bag)
        # Building takes minutes: what the case allows may have ended meanwhile.
        again = self._cases.check_export(actor, request.case_id, request.question)
        if again.get("approved") != case.get("approved"):
            raise AskError(
                f"{request.case_id} was approved anew while the package was made; make it again", code="not_approved"
            )
        leaf_index, row = self._approve(job, actor, bag["tagmanifest-sha256.txt"], case)
        signed = call_local(
            self._paths.run / "sealer.sock",
            "sign_package",
            tag_manifest_base64=base64.b64encode(bag["tagmanifest-sha256.txt"]).decode(),
            approval_leaf_index=leaf_index,
            approval_row=row,
        )
        bag[SIGNATURE_NAME] = base64.b64decode(signed["signature_base64"])
        stamp_problem = self._stamp(job, bag)
        stored = zip_package(f"phayan-{job['id']}", bag)
        path = self._store.keep_package(job["id"], stored)
        try:
            verify_package(str(path))
        except PackageError:
            self._store.discard_package(job["id"])
            raise
        digest = hashlib.sha256(stored).hexdigest()
        counts = built.content.counts()
        self._cases.record_package(actor, request.case_id, job["id"], digest, counts)
        self._update(
            job,
            state="ready",
            progress=1.0,
            message="",
            question=answer["asked"],
            certainty=answer["certainty"],
            size_bytes=len(stored),
            sha256=digest,
            approval_leaf_index=leaf_index,
            approval_row=row,
            counts=counts,
            time_stamp_problem=stamp_problem,
        )
        self._keep(job)

    def _build(self, job: dict[str, Any], answer: dict[str, Any], facts: PackageFacts) -> BuiltPackage:
        """Records whose roots are not sealed yet are waited for: the sealer is told that somebody needs them."""
        started = time.monotonic()
        while True:
            call_local(self._paths.run / "sealer.sock", "seal_records_roots")
            try:
                return build_package(self._sources, answer, facts)
            except ArchiveError as error:
                waited = time.monotonic() - started
                if error.code not in ("no_records_root", "busy") or waited > ROOT_WAIT_SECONDS:
                    raise
                progress = round(0.1 + 0.3 * waited / ROOT_WAIT_SECONDS, 3)
                self._update(job, progress=progress, message="waiting until the records can be proven one by one")
            time.sleep(POLL_SECONDS)

    def _approve(self, job: dict[str, Any], actor: Actor, tag_manifest: bytes, case: dict[str, Any]) -> tuple[int, int]:
        digest = hashlib.sha256(tag_manifest).hexdigest()
        self._update(job, state="waiting", progress=0.4, message="waiting until the approval is sealed")
        mode = "one_person" if case.get("one_person", True) else "two_person"
        approval = {"package": job["id"], "tag_manifest_sha256": digest, "mode": mode, "case": job["case"]}
        self._auditor.record(actor, APPROVAL_EVENT, approval, job["reason"])
        place = self._wait_sealed(job, digest)
        self._update(job, state="signing", progress=0.9, message="")
        return place

    def _stamp(self, job: dict[str, Any], bag: dict[str, bytes]) -> str:
        """Put a time stamp over the signature into the bag. Returns why there is none."""
        authorities = self._sources.trust.authorities
        if not authorities:
            return "no time stamp authority is configured"
        self._update(job, message="waiting for a time stamp")
        response, problem = ask_for_stamp(self._paths.directory / "stamps", job["id"], bag[SIGNATURE_NAME])
        if response is None:
            return problem
        for authority in authorities:
            try:
                verify_token(response, bag[SIGNATURE_NAME], authority)
            except ArchiveError as error:
                problem = str(error)
                continue
            bag[TOKEN] = response
            return ""
        return problem

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
