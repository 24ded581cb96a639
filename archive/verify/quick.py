"""Where the last day of a log begins, found from its end without reading what is before."""

from archive.errors import ArchiveFormatError
from archive.verify.leaf import parse_leaf
from archive.verify.tiles import TILE_WIDTH, TileStore, bundle_path, decode_bundle

QUICK_NS = 86_400 * 1_000_000_000


def find_last_day(store: TileStore) -> int:
    """The first bundle from which on leaves are of the last 24 hours before the newest leaf's own time. A bundle that
    cannot be read, or states no time, counts as of that day: reading it then says what is wrong with it.
    """
    newest: int | None = None
    for index in reversed(range(-(-store.size // TILE_WIDTH))):
        times = _times(store, index)
        if times and newest is None:
            newest = times[-1]
        if times and newest is not None and max(times) < newest - QUICK_NS:
            return index + 1
    return 0


def _times(store: TileStore, index: int) -> list[int]:
    """The leaves' own times, of the first and the last of a bundle alone: what is between does not move the day."""
    width = min(store.size - index * TILE_WIDTH, TILE_WIDTH)
    try:
        leaves = decode_bundle(store.read(bundle_path(index, width)), width)
    except (OSError, ArchiveFormatError):
        return []
    found = []
    for leaf in (leaves[0], *leaves[1:-1:16], leaves[-1]):
        try:
            fields = parse_leaf(leaf)
            stated = fields.get("last_unix_ns") or fields.get("unix_ns")
            found.append(int(stated)) if isinstance(stated, str) else None
        except (ArchiveFormatError, ValueError):
            continue
    return found
