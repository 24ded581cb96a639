"""Files of one log in a package: key, checkpoint, policy, leaves and proofs, units, and what outsiders said of it."""

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from archive.anchor.check import AnchorTrust
from archive.cosignature import verify_cosignature
from archive.errors import ArchiveError, ArchiveIntegrityError, AskError
from archive.index.checkpoint import read_checkpoint_note, read_log_key
from archive.merkle import consistency_proof, inclusion_proof, leaf_hash, tree_root, verify_inclusion
from archive.note import Checkpoint, VerifierKey, open_checkpoint, split_note
from archive.origin import ArchivePaths
from archive.package.content import CitedRecord, LogFacts, OutsideTime
from archive.package.names import log_folder
from archive.package.source_log import SourceLog
from archive.policy import Policy, PolicyGroup, PolicyLog, PolicyWitness, format_policy
from archive.timestamp.token import Authority, verify_token
from archive.tree import TreeReader

READ_ATTEMPTS = 5
"""A newer head may remove the partial tiles being read; then the newer head is used."""
MAX_ANCHOR_REACH = 50_000
"""Leaves before the cited ones among which an anchor leaf is looked for: hours of a busy log."""
KEY_LEAF = 0
QUORUM_GROUP = "witnesses"
NS = 1_000_000_000
_CHECKPOINT = re.compile(r"([0-9]{1,16})\.checkpoint\Z", re.ASCII)


@dataclass
class LogPart:
    """What a package holds of one log."""

    files: dict[str, bytes]
    facts: LogFacts
    before: list[OutsideTime] = field(default_factory=list)
    after: list[OutsideTime] = field(default_factory=list)


def make_policy(key: VerifierKey, trust: AnchorTrust) -> Policy:
    """What a reader may demand of a checkpoint: the log's signature and, with witnesses, one of theirs."""
    witnesses = tuple(PolicyWitness(f"w{n}", one) for n, one in enumerate(trust.witnesses, start=1))
    if not witnesses:
        return Policy((PolicyLog(key),), (), (), "none")
    group = PolicyGroup(QUORUM_GROUP, 1, tuple(witness.name for witness in witnesses))
    return Policy((PolicyLog(key),), witnesses, (group,), QUORUM_GROUP)


def authority_pem(authority: Authority) -> bytes:
    """The certificates that the settings name of an authority."""
    parts = (*authority.roots, authority.issuer or b"", authority.signer or b"")
    return b"".join(part if part.endswith(b"\n") or not part else part + b"\n" for part in parts)


def log_part(
    log: SourceLog, anchors: Path, records: list[CitedRecord], trust: AnchorTrust, *, following: SourceLog | None
) -> LogPart:
    """Files of a log. `anchors` is where its cosigned checkpoints lie, `following` the log that continues it, whose key
    leaf names this one's newest checkpoint. Raises ArchiveError where a proof does not hold."""
    needed = {KEY_LEAF}
    for record in records:
        needed |= {record.place.leaf, *(unit.records_leaf for unit in record.units)}
        if record.purge_leaf is not None:
            needed |= _purge_leaves(log, record.purge_leaf)
    cited = sorted({record.place.leaf for record in records if record.units or record.rows})
    anchor_leaf = _anchor_before(log, cited[0]) if cited else None
    if anchor_leaf is not None:
        needed.add(anchor_leaf)
    for _ in range(READ_ATTEMPTS):
        try:
            return _Part(log, anchors, records, trust, following, sorted(needed), cited, anchor_leaf).make()
        except FileNotFoundError:
            continue
    raise AskError("the log changes too fast to be read", code="busy")


def _purge_leaves(log: SourceLog, newest: int) -> set[int]:
    """A purge leaf and those of the same day that it continues: one of them lists the leaf of a held record."""
    found: set[int] = set()
    number: int | None = newest
    while number is not None and number not in found:
        found.add(number)
        leaf = log.leaves.leaf(number)
        number = leaf["previous"] if leaf["kind"] == "purge" else None
    return found


def _anchor_before(log: SourceLog, leaf_index: int) -> int | None:
    for index in range(leaf_index - 1, max(leaf_index - MAX_ANCHOR_REACH, 0), -1):
        if b'"kind":"anchor"' in log.leaves.raw(index):
            return index
    return None


class _Part:
    def __init__(
        self,
        log: SourceLog,
        anchors: Path,
        records: list[CitedRecord],
        trust: AnchorTrust,
        following: SourceLog | None,
        needed: list[int],
        cited: list[int],
        anchor_leaf: int | None,
    ) -> None:
        self._log, self._anchors, self._records, self._trust = log, anchors, records, trust
        self._following, self._needed, self._cited, self._anchor_leaf = following, needed, cited, anchor_leaf
        self._key = read_log_key(log.paths)
        self._published_note, self._published = read_checkpoint_note(log.paths)
        self._tree = TreeReader(log.paths.log, self._published.size)
        self._folder = log_folder(log.number)

    def make(self) -> LogPart:
        note, checkpoint = self._checkpoint()
        policy = make_policy(self._key, self._trust)
        files = {
            "log.vkey": (self._log.paths.log / "key.vkey").read_bytes(),
            "checkpoint": note,
            "policy.txt": format_policy(policy),
            **self._proofs(note, checkpoint),
            **self._units(),
        }
        anchors, before, after = self._outside(checkpoint)
        files |= anchors | self._seam(checkpoint)
        if anchors:
            files |= {f"anchors/{one.name}.pem": authority_pem(one) for one in self._trust.authorities}
        names = tuple(name for name, _ in self._cosigned(note))
        facts = LogFacts(self._log.number, self._log.origin, checkpoint.size, names, self._why_ended())
        return LogPart({f"{self._folder}/{name}": data for name, data in files.items()}, facts, before, after)

    def _why_ended(self) -> str:
        if self._following is None:
            return ""
        former = self._following.leaves.leaf(KEY_LEAF).get("former")
        return str(former["why"]) if former else ""

    def _checkpoint(self) -> tuple[bytes, Checkpoint]:
        """The newest cosigned checkpoint that covers every leaf of the package, else the published one."""
        for size, path in reversed(self._kept()):
            if size <= self._needed[-1]:
                break
            note = path.read_bytes()
            if self._cosigned(note) and self._is_ours(note):
                return note, open_checkpoint(note, self._key)
        if self._published.size <= self._needed[-1]:
            raise AskError(f"leaf {self._needed[-1]} is not published yet; try again", code="busy")
        return self._published_note, self._published

    def _kept(self) -> list[tuple[int, Path]]:
        if not self._anchors.is_dir():
            return []
        found = ((_CHECKPOINT.match(path.name), path) for path in self._anchors.iterdir())
        return sorted((int(match[1]), path) for match, path in found if match)

    def _is_ours(self, note: bytes) -> bool:
        """Signed by this log's key, and the beginning of the published tree."""
        try:
            one = open_checkpoint(note, self._key)
        except ArchiveError:
            return False
        return one.size <= self._published.size and tree_root(one.size, self._tree.node) == one.root

    def _cosigned(self, note: bytes) -> list[tuple[str, int]]:
        """Witnesses whose cosignature verifies, with its time in seconds."""
        body, lines = split_note(note)
        found = []
        for witness in self._trust.witnesses:
            for line in lines:
                if (line.name, line.key_id) != (witness.name, witness.key_id):
                    continue
                try:
                    found.append((witness.name, verify_cosignature(line.text(), body, witness)))
                except ArchiveError:
                    continue
        return found

    def _proofs(self, note: bytes, checkpoint: Checkpoint) -> dict[str, bytes]:
        files = {}
        for index in self._needed:
            leaf = self._tree.leaf(index)
            proof = inclusion_proof(index, checkpoint.size, self._tree.node)
            verify_inclusion(leaf_hash(leaf), index, checkpoint.size, proof, checkpoint.root)
            head = ["c2sp.org/tlog-proof@v1", f"index {index}", *(base64.b64encode(one).decode() for one in proof)]
            files[f"leaves/{index}.json"] = leaf
            files[f"proofs/{index}.tlog-proof"] = ("\n".join(head) + "\n\n").encode() + note
        return files

    def _units(self) -> dict[str, bytes]:
        lines: dict[int, set[bytes]] = {}
        order: dict[bytes, tuple[int, int]] = {}
        for record in self._records:
            for unit in record.units:
                line = unit.encode()
                order[line] = unit.row, unit.offset
                lines.setdefault(unit.leaf, set()).add(line)
        return {f"units/{leaf}.jsonl": b"".join(sorted(found, key=order.__getitem__)) for leaf, found in lines.items()}

    def _outside(self, checkpoint: Checkpoint) -> tuple[dict[str, bytes], list[OutsideTime], list[OutsideTime]]:
        """Evidence that the cited leaves came after one time and before another."""
        number, before, after = self._log.number, [], []
        if self._anchor_leaf is not None:
            leaf = json.loads(self._tree.leaf(self._anchor_leaf))
            size = int(leaf["checkpoint"].split("\n")[1])
            before.append(OutsideTime(number, leaf["by"], leaf["name"], int(leaf["unix_ns"]), size, self._anchor_leaf))
        files: dict[str, bytes] = {}
        wanted: list[tuple[int, Path]] = []
        if self._cited:
            covering = [one for one in self._kept() if one[0] > self._cited[-1]]
            is_stamped = {size for size, _ in covering if self._tokens(size)}
            is_cosigned = [one for one in covering if self._cosigned(one[1].read_bytes())]
            wanted = [*is_cosigned[:1], *[one for one in covering if one[0] in is_stamped][:1]]
        for size, path in dict(wanted).items():
            note = path.read_bytes()
            if not self._is_ours(note):
                continue
            files[f"anchors/{size}.checkpoint"] = note
            if size != checkpoint.size:
                files[f"anchors/{size}.consistency"] = self._consistency(size, checkpoint.size)
            for name, seconds in self._cosigned(note):
                after.append(OutsideTime(number, "witness", name, seconds * NS, size))
            for authority, data, unix_ns in self._tokens(size):
                files[f"anchors/{size}.{authority.name}.tsr"] = data
                after.append(OutsideTime(number, "timestamp_authority", authority.name, unix_ns, size))
        return files, before, after

    def _tokens(self, size: int) -> list[tuple[Authority, bytes, int]]:
        """Time stamps of configured authorities over the checkpoint of a size that verify."""
        found = []
        note = b"".join((self._anchors / f"{size}.checkpoint").read_bytes().splitlines(keepends=True)[:5])
        for authority in self._trust.authorities:
            path = self._anchors / f"{size}.{authority.name}.tsr"
            if path.exists():
                try:
                    data = path.read_bytes()
                    found.append((authority, data, verify_token(data, note, authority).unix_ns))
                except ArchiveError:
                    continue
        return found

    def _consistency(self, one: int, other: int) -> bytes:
        proof = consistency_proof(min(one, other), max(one, other), self._tree.node)
        return "".join(f"{base64.b64encode(hash_).decode()}\n" for hash_ in proof).encode()

    def _seam(self, checkpoint: Checkpoint) -> dict[str, bytes]:
        """What leads from the checkpoint that the next log names to the one here."""
        if self._following is None:
            return {}
        former = self._following.leaves.leaf(KEY_LEAF).get("former")
        if not former or former["vkey"] != self._key.text():
            raise ArchiveIntegrityError(f"{self._following.origin} does not continue {self._log.origin}")
        named = open_checkpoint(former["checkpoint"].encode(), self._key)
        if (named.size, named.root) == (checkpoint.size, checkpoint.root):
            return {}
        if named.size > self._published.size:
            raise ArchiveIntegrityError(f"{self._log.origin} ended with more leaves than are here", code="log_cut")
        return {f"anchors/{named.size}.consistency": self._consistency(named.size, checkpoint.size)}


def anchors_of(paths: ArchivePaths, log: SourceLog) -> Path:
    """Folder of the anchors of a log: the newest one's, or one by its key id for those before it."""
    folder = paths.directory / "anchors"
    return folder if log.is_newest else folder / read_log_key(log.paths).key_id.hex()


def records_of(records: Iterable[CitedRecord], log: SourceLog) -> list[CitedRecord]:
    return [record for record in records if record.place.log == log.number]
