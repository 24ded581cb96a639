"""Heads of our log that are kept outside: the sealer asks for them before its first signature, the anchor process, that
has a network, fetches them, and the sealer judges.

They talk through two files in `DIR/run`, each replaced whole: `heads-wanted`, JSON with `nonce` and `origin`, and
`heads-found.json`, JSON with `nonce` and `sources`.
"""

import json
import os
import secrets
import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from archive.anchor.judgement import COPY, WITNESS, OutsideHead
from archive.errors import ArchiveError, ArchiveStateError
from archive.note import MAX_NOTE_BYTES, VerifierKey, open_checkpoint
from archive.origin import ArchivePaths

WANTED_FILE = "heads-wanted"
FOUND_FILE = "heads-found.json"
NONCE_BYTES = 16
ANSWER_SECONDS = 20.0
"""What no source has answered after this time is reported as unreachable; a witness gets half of it."""
MAX_FILE_BYTES = 16 * 1024 * 1024
"""48 sources with a note of 64 KiB each, of which JSON may make up to six times as much; shorter, and not whole, is
none."""


class HeadSource(Protocol):
    """Where a head of ours may be kept. `newest` raises ArchiveError or OSError when it cannot be asked."""

    name: str
    kind: str

    def newest(self, origin: str) -> str | None: ...


class CopySource:
    """A head file, or a published checkpoint, on a copy that is mounted here."""

    kind = COPY

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def newest(self, origin: str) -> str | None:
        with self._path.open("rb") as file:
            data = file.read(MAX_NOTE_BYTES + 1)
        if len(data) > MAX_NOTE_BYTES:
            raise ArchiveStateError(f"{self._path} is longer than a checkpoint can be")
        return data.decode("utf-8", "replace")


class NewestCheckpoint(Protocol):
    """Of archive.witness.client.WitnessClient, what is needed here."""

    def newest_checkpoint(self, origin: str) -> bytes | None: ...


class WitnessSource:
    """A witness, asked for the newest head it has cosigned."""

    kind = WITNESS

    def __init__(self, name: str, client: NewestCheckpoint) -> None:
        self.name = name
        self._client = client

    def newest(self, origin: str) -> str | None:
        note = self._client.newest_checkpoint(origin)
        return None if note is None else note.decode("utf-8", "replace")


def ask_for_heads(paths: ArchivePaths, origin: str) -> str:
    """Ask for the newest head of every source. Returns the nonce that the answer will bear. Raises OSError."""
    nonce = secrets.token_hex(NONCE_BYTES)
    (paths.run / FOUND_FILE).unlink(missing_ok=True)
    _replace(paths.run / WANTED_FILE, {"nonce": nonce, "origin": origin})
    return nonce


def read_found(paths: ArchivePaths, nonce: str) -> list[OutsideHead] | None:
    """What was found, or None while the question of `nonce` has no answer. Without a source the list is empty."""
    found = _read(paths.run / FOUND_FILE)
    if found is None or found.get("nonce") != nonce or not isinstance(found.get("sources"), list):
        return None
    heads = [_head_of(source) for source in found["sources"]]
    return None if None in heads else [head for head in heads if head is not None]


def newest_found(paths: ArchivePaths, key: VerifierKey) -> bytes | None:
    """The largest head of ours in the last answer, whoever asked; None without any."""
    found = _read(paths.run / FOUND_FILE) or {}
    newest: tuple[int, bytes] | None = None
    for source in found.get("sources") or ():
        head = _head_of(source)
        if head is None or head.checkpoint is None:
            continue
        note = head.checkpoint.encode("utf-8", "replace")
        with suppress(ArchiveError):
            size = open_checkpoint(note, key).size
            newest = max(newest or (size, note), (size, note))
    return newest[1] if newest is not None else None


def answer_wanted(
    paths: ArchivePaths, sources: Sequence[HeadSource], *, answer_seconds: float = ANSWER_SECONDS
) -> bool:
    """Ask every source at the same time, if heads are wanted, and write what was found. Returns whether they were.

    A source that hangs, as a dead network mount does, costs a thread of its own and `answer_seconds`. Raises OSError.
    """
    wanted = _read(paths.run / WANTED_FILE)
    if wanted is None or not all(isinstance(wanted.get(name), str) for name in ("nonce", "origin")):
        return False
    answers = [_ask(source, wanted["origin"]) for source in sources]
    wait(answers, timeout=answer_seconds)
    found = [_entry(source, answer, answer_seconds) for source, answer in zip(sources, answers, strict=True)]
    _replace(paths.run / FOUND_FILE, {"nonce": wanted["nonce"], "sources": found})
    if _read(paths.run / WANTED_FILE) == wanted:
        (paths.run / WANTED_FILE).unlink(missing_ok=True)
    return True


def _ask(source: HeadSource, origin: str) -> "Future[str | None]":
    """The answer of a daemon thread: the pools of concurrent.futures would wait at exit for one that hangs."""
    answer: Future[str | None] = Future()

    def run() -> None:
        try:
            answer.set_result(source.newest(origin))
        except Exception as error:
            # Whatever a source does wrong is said of it; the others are not kept from answering.
            answer.set_exception(error)

    threading.Thread(target=run, name=f"head of {source.name}", daemon=True).start()
    return answer


def _entry(source: HeadSource, answer: "Future[str | None]", answer_seconds: float) -> dict[str, Any]:
    checkpoint, problem = None, None
    if not answer.done():
        problem = f"{source.name} gave no answer within {answer_seconds:g} s"
    else:
        error = answer.exception()
        if isinstance(error, OSError):
            problem = f"{source.name} cannot be read: {error.strerror or error}"
        elif error is not None:
            problem = str(error) or type(error).__name__
        else:
            checkpoint = answer.result()
    return {"name": source.name, "kind": source.kind, "checkpoint": checkpoint, "error": problem}


def _head_of(source: Any) -> OutsideHead | None:
    """None for an entry of another form."""
    if not isinstance(source, dict) or source.keys() != {"name", "kind", "checkpoint", "error"}:
        return None
    texts = [source["name"], source["kind"], *(v for v in (source["checkpoint"], source["error"]) if v is not None)]
    if source["kind"] not in (WITNESS, COPY) or not all(type(value) is str for value in texts):
        return None
    return OutsideHead(**source)


def _replace(path: Path, value: dict[str, Any]) -> None:
    """Not durable: `DIR/run` is lost with the boot, and so is who asked."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(value), encoding="utf-8")
    os.replace(temporary, path)


def _read(path: Path) -> dict[str, Any] | None:
    """None where there is nothing, or nothing that is JSON."""
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(MAX_FILE_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
