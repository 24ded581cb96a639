"""Which data leaves have a records root, and whether each root is of a data leaf and in its turn. Pure."""

from array import array

from archive.verify.range_check import DATA, UNREAD, RangeResult
from archive.verify.report import Findings
from archive.verify.tiles import TILE_WIDTH, bundle_path

_COVERED = 4


class Coverage:
    """One byte for each leaf. Ranges are added in order; roots may speak of leaves of any earlier range."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._leaves = bytearray(size)
        self._generations: dict[int, int] = {}

    def add(self, result: RangeResult, findings: Findings) -> None:
        begin = result.first * TILE_WIDTH
        self._leaves[begin : begin + len(result.kinds)] = result.kinds
        numbers = iter(result.roots)
        for number, leaf, generation in zip(numbers, numbers, numbers, strict=True):
            wrong = self._cover(number, leaf, generation)
            if wrong is not None:
                index = number // TILE_WIDTH
                file = f"log/{bundle_path(index, min(self._size - index * TILE_WIDTH, TILE_WIDTH))}"
                findings.add_defect("records_leaf", file, detail=wrong, leaf=number)

    def _cover(self, number: int, leaf: int, generation: int) -> str | None:
        if leaf >= number:
            return f"leaf {leaf} is not before it"
        kind = self._leaves[leaf]
        if kind == UNREAD:
            return None
        if not kind & DATA:
            return f"leaf {leaf} is no data leaf"
        expected = self._generations.get(leaf, 0) + 1 if kind & _COVERED else 0
        if generation != expected:
            return f"generation {generation} of leaf {leaf} where {expected} was to come"
        self._leaves[leaf] |= _COVERED
        if generation:
            self._generations[leaf] = generation
        return None

    def count_uncovered(self) -> int:
        """Data leaves without a root."""
        return self._leaves.count(DATA)


def slices(numbers: array, length: int) -> list[list[int]]:
    """`numbers` in lists of up to `length`."""
    return [numbers[start : start + length].tolist() for start in range(0, len(numbers), length)]
