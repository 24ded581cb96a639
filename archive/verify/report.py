"""What a verification found: proven facts, statements and defects, for people and for programs. Pure."""

import json
import threading
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from archive.verify.wording import DEFECTS, STATEMENTS

REPORT_VERSION = 1
MAX_LISTED_DEFECTS = 10_000
"""Beyond this defects are only counted; a report of a destroyed disk must fit into memory."""
EXIT_INTACT, EXIT_DEFECT, EXIT_COULD_NOT_RUN = 0, 1, 2


@dataclass(frozen=True)
class Defect:
    """Something that does not verify, by place. `file` is relative to the data directory, or the head's own
    path; `offset` counts bytes in that file.
    """

    code: str
    file: str
    stream: str | None
    segment: str | None
    offset: int | None
    leaf: int | None
    message: str
    message_th: str


@dataclass(frozen=True)
class Statement:
    """Something a reader must know that is no defect."""

    code: str
    message: str
    message_th: str

    def of(self, folder: str) -> "Statement":
        """The same of the log in `folder`."""
        return replace(self, message=f"{folder}: {self.message}", message_th=f"{folder}: {self.message_th}")


class Findings:
    """Defects in the order in which they were found; safe from several threads, and can be sent to another process."""

    def __init__(self) -> None:
        self.defects: list[Defect] = []
        self.defect_count = 0
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"defects": self.defects, "defect_count": self.defect_count}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def add_defect(
        self,
        code: str,
        file: str,
        *,
        detail: object = "",
        stream: str | None = None,
        segment: str | None = None,
        offset: int | None = None,
        leaf: int | None = None,
    ) -> None:
        """Safe from several threads."""
        english, thai = (text.format(detail=detail) for text in DEFECTS[code])
        with self._lock:
            self.defect_count += 1
            if len(self.defects) < MAX_LISTED_DEFECTS:
                self.defects.append(Defect(code, file, stream, segment, offset, leaf, english, thai))

    def absorb(self, other: "Findings", folder: str = "") -> None:
        """Take over the defects of a part; `folder` is put before their files."""
        with self._lock:
            room = MAX_LISTED_DEFECTS - len(self.defects)
            self.defects += [replace(defect, file=folder + defect.file) for defect in other.defects[:room]]
            self.defect_count += other.defect_count


@dataclass
class StreamSummary:
    """What is sealed of one stream."""

    last_sequence: int
    leaves: int = 0
    records: int = 0
    bytes: int = 0
    dropped: int = 0


@dataclass
class Report(Findings):
    """Result of `verify_archive`. Times are nanoseconds since 1970, as decimal strings in JSON."""

    directory: str
    head_file: str
    origin: str | None = None
    tree_size: int = 0
    root: str | None = None
    last_leaf_unix_ns: int | None = None
    records: int = 0
    bytes: int = 0
    chunks: int = 0
    streams: dict[str, StreamSummary] = field(default_factory=dict)
    outages: list[dict[str, Any]] = field(default_factory=list)
    clock_statements: list[dict[str, Any]] = field(default_factory=list)
    clock: dict[str, Any] = field(default_factory=dict)
    leaves_without_root: int = 0
    units: int = 0
    anchors: list[dict[str, Any]] = field(default_factory=list)
    purged: dict[str, Any] = field(default_factory=dict)
    former: list[dict[str, Any]] = field(default_factory=list)
    unsealed_spool_files: dict[str, int] = field(default_factory=dict)
    freshness: str = "unproven"
    index: str = "not checked"
    statements: list[Statement] = field(default_factory=list)
    could_not_run: str | None = None

    def __post_init__(self) -> None:
        super().__init__()

    @property
    def exit_code(self) -> int:
        if self.could_not_run is not None:
            return EXIT_COULD_NOT_RUN
        return EXIT_DEFECT if self.defect_count else EXIT_INTACT

    def add_statement(self, code: str, detail: object = "") -> None:
        english, thai = (text.format(detail=detail) for text in STATEMENTS[code])
        self.statements.append(Statement(code, english, thai))

    def to_json(self) -> str:
        """One JSON object, `v` 1."""
        values = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        values["streams"] = {name: asdict(summary) for name, summary in sorted(self.streams.items())}
        values["statements"] = [asdict(statement) for statement in self.statements]
        values["defects"] = [asdict(defect) for defect in self.defects]
        if self.last_leaf_unix_ns is not None:
            values["last_leaf_unix_ns"] = str(self.last_leaf_unix_ns)
        values |= {"v": REPORT_VERSION, "exit_code": self.exit_code}
        return json.dumps(values, ensure_ascii=False, sort_keys=True)

    def to_text(self) -> str:
        """For a person: the verdict, what is proven, statements, and each defect with its place."""
        if self.could_not_run is not None:
            return f"COULD NOT RUN / ตรวจไม่ได้: {self.could_not_run}\n"
        verdict = "DEFECTS FOUND / พบข้อบกพร่อง" if self.defect_count else "INTACT / ครบถ้วน"
        lines = [
            f"{verdict}: {self.directory}",
            f"log {self.origin}, {self.tree_size} leaves, root {self.root}",
            f"{self.records} records in {self.chunks} chunks, {self.bytes} bytes",
        ]
        for name, summary in sorted(self.streams.items()):
            lines.append(
                f"stream {name}: sealed up to {summary.last_sequence}, {summary.records} records, {summary.bytes} bytes"
            )
        for statement in self.statements:
            lines += [f"- {statement.message}", f"  {statement.message_th}"]
        for defect in self.defects:
            lines += [
                f"DEFECT {defect.code}: {_place(defect)}",
                f"  {defect.message}",
                f"  {defect.message_th}",
            ]
        return "\n".join(lines) + "\n"


def _place(defect: Defect) -> str:
    parts = [defect.file]
    if defect.offset is not None:
        parts.append(f"byte {defect.offset}")
    if defect.stream is not None:
        parts.append(f"stream {defect.stream}")
    if defect.leaf is not None:
        parts.append(f"leaf {defect.leaf}")
    return ", ".join(parts)


def format_time(unix_ns: int) -> str:
    """ISO 8601 in UTC with milliseconds; the bare number where no calendar reaches."""
    try:
        moment = datetime.fromtimestamp(unix_ns // 1_000_000 / 1_000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{unix_ns} ns"
    return moment.isoformat(timespec="milliseconds")
