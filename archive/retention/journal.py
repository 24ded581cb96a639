"""What the published log says for retention, read once and gone on with from there. Nothing of it is believed that the
signed head does not cover: leaves are hashed as they are read, and their root compared with the head's."""

import json
import re
from array import array
from collections.abc import Callable, Iterator
from typing import Any

from archive.chunk import decode_chunk
from archive.errors import ArchiveFormatError, ArchiveIntegrityError
from archive.event_record import decode_event
from archive.leaf import StoredChunk, decode_leaf
from archive.merkle import EMPTY_ROOT, leaf_hash, node_hash, perfect_root
from archive.note import Checkpoint
from archive.origin import ArchivePaths
from archive.retention.age import Moment
from archive.retention.plan import CARRY_STREAM, Facts, Folder
from archive.retention.purge_leaf import parse_purge_leaf
from archive.segment import read_stored_chunk
from archive.tile_layout import TILE_WIDTH, bundle_path, decode_bundle

READ_ATTEMPTS = 5
"""A newer head may remove the partial bundle being read; then the newer head is used."""
CASES_STREAM = "cases"
CLOCK_CONFIRMED = "clock_confirmed"
_MOMENT = rb'(?:null|\{"boot_id":"([^"\\]*)","monotonic_ns":"(-?[0-9]+)","unix_ns":"-?[0-9]+"\})'
_DATA = re.compile(
    rb'\{"closed":' + _MOMENT + rb',"dropped":\{[^{}]*\},"first_unix_ns":"-?[0-9]+","kind":"data",'
    rb'"last_unix_ns":"-?[0-9]+","length":([0-9]+),"log":"[^"\\]*","offset":[0-9]+,"opened":' + _MOMENT + rb","
    rb'"previous":(?:null|\{[^}]*\}),"records":([0-9]+),"segment":"([^"/\\]+)/([0-9]{8})/'
)
_RECORDS = re.compile(rb'\{"file":"([^"/\\]+/[0-9]{8})/')


class Journal:
    """`head` gives the newest published checkpoint, whose signature was checked. One thread at a time."""

    def __init__(self, paths: ArchivePaths, head: Callable[[], Checkpoint]) -> None:
        self._paths = paths
        self._head = head
        self._clear()

    def _clear(self) -> None:
        self.facts = Facts()
        self.records_leaves: dict[str, array[int]] = {}
        """The `records` leaves of each folder `<stream>/<day>`."""
        self._nodes: list[bytes] = []
        self._rightmost: list[bytes] = []
        self._cases = array("q")
        self._confirmations_read = 0

    def read(self) -> Facts:
        """Take in what was published since. Raises OSError, ArchiveError; what it has read so far is then forgotten."""
        try:
            for attempt in range(READ_ATTEMPTS):
                head = self._head()
                try:
                    self._read_to(head)
                    break
                except FileNotFoundError:
                    if attempt == READ_ATTEMPTS - 1 or self._head() == head:
                        raise
        except BaseException:
            self._clear()
            raise
        self._read_confirmations()
        return self.facts

    def leaf(self, index: int) -> dict[str, Any]:
        """Fields of a leaf that was read."""
        return decode_leaf(self._leaves(index // TILE_WIDTH)[index % TILE_WIDTH])

    def data_leaves(self, folder: Folder) -> Iterator[tuple[int, dict[str, Any]]]:
        """Number and fields of the data leaves of a folder, in order."""
        mark = f'"segment":"{folder.stream}/{folder.day}/'.encode()
        for number in range(folder.first_leaf // TILE_WIDTH, folder.last_leaf // TILE_WIDTH + 1):
            for place, leaf in enumerate(self._leaves(number), number * TILE_WIDTH):
                if mark in leaf and folder.first_leaf <= place <= folder.last_leaf:
                    yield place, decode_leaf(leaf)

    def _leaves(self, number: int) -> list[bytes]:
        """Those of one bundle that were read, which are checked again: the disk is not believed a second time."""
        full, width = divmod(self.facts.size, TILE_WIDTH)
        path = self._paths.log / bundle_path(number)
        if number == full and self._head().size // TILE_WIDTH == full:
            # The partial bundle of any newer head begins with the same leaves.
            path = self._paths.log / bundle_path(number, self._head().size % TILE_WIDTH)
        leaves = decode_bundle(path.read_bytes())
        hashes = [leaf_hash(leaf) for leaf in leaves[: width if number == full else None]]
        known = hashes == self._rightmost if number == full else perfect_root(hashes) == self._nodes[number]
        if not known:
            raise ArchiveIntegrityError(f"bundle {number} is not what the head was signed for", code="bundle_changed")
        return leaves[: len(hashes)]

    # Reading on

    def _read_to(self, head: Checkpoint) -> None:
        full, width = divmod(head.size, TILE_WIDTH)
        for number in range(len(self._nodes), full):
            self._take(number, decode_bundle((self._paths.log / bundle_path(number)).read_bytes()), TILE_WIDTH)
            self._nodes.append(perfect_root(self._rightmost))
            self._rightmost = []
        if width:
            self._take(full, decode_bundle((self._paths.log / bundle_path(full, width)).read_bytes()), width)
        if _root_of([*self._nodes, _root_of(self._rightmost)] if self._rightmost else self._nodes) != head.root:
            raise ArchiveIntegrityError("the leaves do not lead to the root of the signed head", code="head_root")

    def _take(self, number: int, leaves: list[bytes], width: int) -> None:
        """The leaves of a bundle that were not read before."""
        if len(leaves) != width:
            raise ArchiveFormatError(f"bundle {number} has {len(leaves)} leaves instead of {width}")
        hashes = [leaf_hash(leaf) for leaf in leaves]
        known = len(self._rightmost)
        if hashes[:known] != self._rightmost:
            raise ArchiveIntegrityError(f"bundle {number} has changed since it was read", code="bundle_changed")
        for place in range(known, width):
            self._add(number * TILE_WIDTH + place, leaves[place])
        self._rightmost = hashes
        self.facts.size = number * TILE_WIDTH + width

    def _add(self, index: int, leaf: bytes) -> None:
        found = _DATA.match(leaf)
        if found is not None:
            closed_boot, closed_ns, length, opened_boot, opened_ns, records, stream, day = found.groups()
            closed = None if closed_boot is None else Moment(int(closed_ns), closed_boot.decode())
            opened = None if opened_boot is None else Moment(int(opened_ns), opened_boot.decode())
            self._add_data(index, stream.decode(), day.decode(), int(records), int(length), closed, opened)
            return
        units = _RECORDS.match(leaf)
        if units is not None:
            self.records_leaves.setdefault(units[1].decode(), array("q")).append(index)
            return
        self._add_other(index, json.loads(leaf))

    def _add_other(self, index: int, leaf: dict[str, Any]) -> None:
        kind, facts = leaf["kind"], self.facts
        if kind == "data":
            stream, day, _ = leaf["segment"].split("/")
            moments = (_moment(leaf[name]) for name in ("closed", "opened"))
            self._add_data(index, stream, day, leaf["records"], leaf["length"], *moments)
        elif kind == "clock":
            samples = [(int(s["unix_ns"]), int(s["monotonic_ns"]), s["synchronised"]) for s in leaf["samples"]]
            facts.clock.add_samples(index, leaf["boot_id"], samples)
        elif kind in ("heartbeat", "outage"):
            facts.clock.state_boot(index, leaf["boot_id"])
        elif kind == "anchor":
            facts.clock.add_anchor(index, int(leaf["unix_ns"]))
        elif kind == "purge":
            purge = parse_purge_leaf(leaf)
            facts.purges.setdefault(purge.day, []).append((index, purge))
            for folder in purge.streams:
                facts.folders.pop((folder.stream, purge.day), None)
                self.records_leaves.pop(f"{folder.stream}/{purge.day}", None)

    def _add_data(
        self,
        index: int,
        stream: str,
        day: str,
        records: int,
        length: int,
        closed: Moment | None,
        opened: Moment | None,
    ) -> None:
        folder = self.facts.folders.get((stream, day))
        if folder is None:
            folder = self.facts.folders[stream, day] = Folder(stream, day, index)
            if stream == CARRY_STREAM:
                self.facts.newest_carry_day = max(self.facts.newest_carry_day, day)
        folder.last_leaf = index
        folder.chunks += 1
        folder.records += records
        folder.bytes += length
        folder.closed, folder.opened = closed, opened
        if stream == CASES_STREAM:
            self._cases.append(index)

    def _read_confirmations(self) -> None:
        """While a jump is not over: whether a person said since that the clock is right."""
        jump = self.facts.clock.jump
        if jump is None or jump.over_by is not None:
            return
        for index in self._cases:
            if index > max(jump.leaf, self._confirmations_read):
                self._confirmations_read = index
                if self._confirms(index):
                    self.facts.clock.confirm(index)

    def _confirms(self, index: int) -> bool:
        leaf = self.leaf(index)
        chunk = StoredChunk(leaf["segment"], leaf["offset"], leaf["length"], leaf["sha256"])
        payloads = decode_chunk(read_stored_chunk(self._paths.segments, chunk)).column("payload").to_pylist()
        return any(_event_of(payload) == CLOCK_CONFIRMED for payload in payloads)


def _moment(values: dict[str, str] | None) -> Moment | None:
    return None if values is None else Moment(int(values["monotonic_ns"]), values["boot_id"])


def _event_of(payload: bytes) -> str:
    try:
        return str(decode_event(payload)["event"])
    except (ArchiveFormatError, KeyError):
        return ""


def _root_of(hashes: list[bytes]) -> bytes:
    """RFC 6962 root over hashes of leaves, or of perfect subtrees of one size and a smaller one behind them."""
    if len(hashes) < 2:
        return hashes[0] if hashes else EMPTY_ROOT
    middle = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(_root_of(hashes[:middle]), _root_of(hashes[middle:]))
