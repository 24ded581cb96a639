"""What the carry stream of the journal holds: the complete carries, and the settings of decoding."""

import logging
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from archive.chunk import decode_chunk
from archive.errors import ArchiveFormatError, ArchiveIntegrityError
from archive.index.carry import (
    CARRY_STREAM,
    SETTINGS_LISTENER,
    CarryFinder,
    CarryMark,
    carry_payloads,
    payloads_of,
    read_items,
)
from archive.index.leaf_reader import LeafReader
from archive.index.open_records import OPEN_LISTENER, open_days_of
from archive.index.settings import DecodingSettings, decode_settings, settings_from
from archive.index.worker import stored_chunk
from archive.origin import ArchivePaths
from archive.segment import read_stored_chunk

_STREAM_FIELD = f'"stream":"{CARRY_STREAM}"'.encode()

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SettingsMark:
    """Settings in force from leaf `from_leaf` on."""

    from_leaf: int
    settings: DecodingSettings


def settings_in_force(marks: list[SettingsMark], leaf_index: int) -> DecodingSettings | None:
    """The last settings recorded before a leaf. Before any, the first ones: the index process that recorded them had
    them from its start. None where there are none."""
    before = [mark for mark in marks if mark.from_leaf <= leaf_index]
    return before[-1].settings if before else marks[0].settings if marks else None


class CarryReader:
    """Walks the leaves of the carry stream back from the newest head, once; further calls only what has come since.

    The newest one is looked for leaf by leaf, those before it are named by each other.
    """

    def __init__(self, paths: ArchivePaths) -> None:
        self._segments = paths.segments
        self._leaves = LeafReader(paths)
        self._finder = CarryFinder()
        self._size = 0
        self._last_leaf = -1
        self._carries: list[CarryMark] = []
        self._settings: list[SettingsMark] = []
        self._open_days: set[str] = set()

    def carries(self) -> list[CarryMark]:
        """Every complete carry sealed so far, by its boundary."""
        self._read_on()
        return sorted(self._carries, key=lambda mark: mark.before_leaf)

    def items(self, mark: CarryMark) -> list[dict[str, Any]]:
        """Its items. Raises ArchiveIntegrityError if its chunks are not there any more, ArchiveFormatError for a record
        that is none."""
        try:
            payloads = [carry_payloads(self._chunk(self._leaves.leaf(index))) for index in mark.leaves]
        except ArchiveIntegrityError:
            # Gone since it was found: the next who asks gets another one.
            if mark in self._carries:
                self._carries.remove(mark)
            raise
        return [item for one in payloads for item in read_items(one, mark.run)]

    def open_days(self) -> set[str]:
        """Days of which the journal has what was open at their start."""
        self._read_on()
        return self._open_days

    def newest_settings(self) -> DecodingSettings | None:
        """Those of the last record of settings that can be read."""
        self._read_on()
        return self._settings[-1].settings if self._settings else None

    def settings_marks(self) -> list[SettingsMark]:
        """All settings recorded by a record or in a carry, by their leaf."""
        self._read_on()
        marks = list(self._settings)
        for carry in self._carries:
            marks += [SettingsMark(carry.before_leaf, one) for one in self._carried_settings(carry)]
        return sorted(marks, key=lambda mark: mark.from_leaf)

    def settings_at(self, leaf_index: int) -> DecodingSettings | None:
        """The settings a leaf is decoded with."""
        return settings_in_force(self.settings_marks(), leaf_index)

    def _carried_settings(self, carry: CarryMark) -> list[DecodingSettings]:
        try:
            items = carry_payloads(self._chunk(self._leaves.leaf(carry.leaves[0])))
            found = [item for item in read_items(items, carry.run) if item.get("kind") == SETTINGS_LISTENER]
            return [settings_from(item) for item in found]
        except (ArchiveFormatError, ArchiveIntegrityError):
            return []

    def _read_on(self) -> None:
        size = self._leaves.newest_size()
        if size == self._size:
            return
        for index, leaf in reversed(self._new_leaves(size)):
            if "segment" not in leaf:
                self._last_leaf = index
                continue
            try:
                # An error of the disk leaves the leaf for the next walk.
                chunk = self._chunk(leaf)
                self._last_leaf = index
            except (ArchiveFormatError, ArchiveIntegrityError) as error:
                if getattr(error, "code", "") != "segment_missing":
                    log.warning("carry records of leaf %d cannot be read: %s", index, error)
                self._finder.break_off()
                self._last_leaf = index
                continue
            self._carries += self._finder.add(index, carry_payloads(chunk))
            self._take_settings(index, chunk)
            self._open_days |= open_days_of(payloads_of(chunk, OPEN_LISTENER))
        self._size = size

    def _new_leaves(self, size: int) -> list[tuple[int, dict[str, Any]]]:
        """Leaves of the stream from the newest back to where the last walk ended."""
        index = size - 1
        while index >= self._size and not self._is_of_stream(index):
            index -= 1
        found = []
        while index >= self._size and index > self._last_leaf:
            leaf = self._leaves.leaf(index)
            found.append((index, leaf))
            previous = leaf.get("previous")
            index = previous["leaf"] if previous else -1
        return found

    def _is_of_stream(self, index: int) -> bool:
        """Leaves of roots and of purges name the stream too, and nothing leads from them to the leaf before."""
        if _STREAM_FIELD not in self._leaves.raw(index):
            return False
        leaf = self._leaves.leaf(index)
        return leaf.get("stream") == CARRY_STREAM and leaf["kind"] != "records"

    def _take_settings(self, index: int, chunk: pa.Table) -> None:
        for payload in payloads_of(chunk, SETTINGS_LISTENER).to_pylist():
            try:
                self._settings.append(SettingsMark(index + 1, decode_settings(payload)))
            except ArchiveFormatError as error:
                log.warning("settings of leaf %d cannot be used: %s", index, error)

    def _chunk(self, leaf: dict[str, Any]) -> pa.Table:
        return decode_chunk(read_stored_chunk(self._segments, stored_chunk(leaf)))
