"""Which data leaves purge leaves list, and which missing files that explains. Pure."""

from archive.verify.report import Findings
from archive.verify.retention_facts import Missing, RetentionFacts


class PurgedRanges:
    """Data leaves by folder (`<stream>/<day>`), as the purge leaves of a log claim them."""

    def __init__(self, facts: RetentionFacts) -> None:
        self._ranges: dict[str, list[tuple[int, int, int]]] = {}
        for number, fields in facts.purges:
            for folder in fields["streams"]:
                # What comes after a purge leaf cannot have been removed by it.
                last = min(folder["last_leaf"], number)
                name = f"{folder['stream']}/{fields['day']}"
                self._ranges.setdefault(name, []).append((folder["first_leaf"], last, number))

    def purge_of(self, folder: str, first: int, last: int) -> int | None:
        """The purge leaf that lists the folder's data leaves from `first` to `last`; None if there is none."""
        for begin, end, number in self._ranges.get(folder, ()):
            if begin <= first and last <= end:
                return number
        return None

    def unexplained(self, missing: list[Missing]) -> list[Missing]:
        """Files that should be there."""
        return [one for one in missing if self.purge_of(one.folder, one.first, one.last) is None]


def report_missing(missing: list[Missing], findings: Findings) -> None:
    """Each file once; what belongs to segments that are missing is said with them."""
    gone = {one.folder for one in missing if one.code == "segment_missing"}
    known: set[tuple[str, str]] = set()
    for one in sorted(missing, key=lambda one: one.leaf):
        if (one.code, one.file) not in known and (one.code == "segment_missing" or one.folder not in gone):
            known.add((one.code, one.file))
            stream = one.folder.partition("/")[0]
            segment = one.file.removeprefix("log/segments/") if one.code == "segment_missing" else None
            leaf = None if one.code == "salt_missing" else one.leaf
            findings.add_defect(one.code, one.file, stream=stream, segment=segment, offset=one.offset, leaf=leaf)
