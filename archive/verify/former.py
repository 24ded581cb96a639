"""Earlier logs of the archive under `former/<number>/`, each with its own key, and the seams between them."""

from pathlib import Path

from archive.errors import ArchiveError, ArchiveIntegrityError
from archive.verify.anchors import open_checkpoint
from archive.verify.log_check import LogCheck, LogResult, Options
from archive.verify.report import Report
from archive.verify.seam import MOVED, RESTORED, describe_gap, why_not_continued

CARRIED_OVER = (
    "outage",
    "clock_back",
    "clock_unsynchronised",
    "times_backwards",
    "torn",
    "dropped",
    "leaves_without_root",
    "purged",
    "purge_not_finished",
)
"""Statements that say something of the records, wherever they are; the others are about the newest head."""


def check_former(directory: Path, newest: LogResult, report: Report, options: Options) -> dict[str, LogResult]:
    """Verify the earlier logs, newest first. Returns them by folder, which ends in a slash, relative to `directory`."""
    found: dict[str, LogResult] = {}
    later, seam_file = newest, "log/tile/entries"
    if newest.successor is not None:
        report.add_statement("moved_away", newest.successor["origin"])
    folders = [path for path in (directory / "former").glob("*") if path.name.isascii() and path.name.isdecimal()]
    for path in sorted(folders, key=lambda path: int(path.name), reverse=True):
        folder = f"former/{path.name}/"
        part = Report(str(path), "head")
        log = LogCheck(path, _head_of(path, later.former), part, options).run()
        report.absorb(part, folder)
        for statement in part.statements:
            if statement.code in CARRIED_OVER:
                report.statements.append(statement.of(folder))
        found[folder] = log
        _check_seam(log, later, folder, seam_file, part, report)
        later, seam_file = log, f"{folder}log/tile/entries"
    if (named := later.former) is not None:
        if named["why"] == MOVED:
            report.add_statement("former_elsewhere", named["origin"])
        elif newest.tree is not None:
            report.add_defect("former_missing", "former", detail=named["origin"])
    return found


def _head_of(path: Path, named: dict[str, str] | None) -> Path:
    """A log that was restored from a backup is behind its head: what is there ends at its published checkpoint."""
    return path / "log" / "checkpoint" if named is not None and named["why"] == RESTORED else path / "head"


def _check_seam(log: LogResult, later: LogResult, folder: str, seam_file: str, part: Report, report: Report) -> None:
    """What leaf 0 of the log after says of this one, against this one."""
    named = later.former
    values = {"folder": folder, "origin": part.origin, "tree_size": part.tree_size, "root": part.root}
    values |= {"records": part.records, "bytes": part.bytes, "chunks": part.chunks, "why": named and named["why"]}
    report.former.append(values)
    if log.key is None or log.tree is None:
        return  # What is wrong with it is a defect already.
    if named is None:
        report.add_defect("former_unnamed", f"{folder}log/key.vkey")
        return
    try:
        if named["vkey"] != log.key_text or named["origin"] != log.key.name:
            raise ArchiveIntegrityError(f"it is of {named['origin']}")
        if (wrong := why_not_continued(named, later.key_text, log.successor)) is not None:
            raise ArchiveIntegrityError(wrong)
        _, checkpoint = open_checkpoint(named["checkpoint"].encode("utf-8", "surrogatepass"), (log.key,))
    except ArchiveError as error:
        report.add_defect("former_seam", seam_file, detail=error, leaf=0)
        return
    values["continued_at"] = checkpoint.size
    gap = describe_gap(part.last_leaf_unix_ns, later.begun_unix_ns)
    values["gap"] = gap
    if named["why"] == RESTORED and log.successor is not None:
        report.add_statement("successor_not_taken", {"folder": folder, "origin": log.successor["origin"]})
    if checkpoint.size > log.tree.size and named["why"] == RESTORED:
        lost = {"first": log.tree.size, "last": checkpoint.size - 1, "folder": folder}
        report.add_statement("former_lost", lost)
        report.add_statement(RESTORED, {"size": log.tree.size, "folder": folder, "gap": gap})
    elif checkpoint.size > log.tree.size:
        report.add_defect("former_seam", f"{folder}head", detail=f"{checkpoint.size} leaves were known")
    elif (root := log.tree.root_at(checkpoint.size)) is not None and root != checkpoint.root:
        report.add_defect("former_seam", f"{folder}head", detail=f"of {checkpoint.size} leaves another root was known")
    elif named["why"] in (MOVED, RESTORED):
        report.add_statement(named["why"], {"size": log.tree.size, "folder": folder, "gap": gap})
    else:
        report.add_statement("former", {"size": log.tree.size, "folder": folder, "why": named["why"]})
