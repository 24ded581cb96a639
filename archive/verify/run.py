"""`phayan verify`, from the files of a data directory and its head alone; also while the sealer works."""

from collections.abc import Sequence
from pathlib import Path

from archive.errors import ArchiveFormatError
from archive.verify.anchors import Anchor, Trust
from archive.verify.evidence import EvidenceReader, Given, read_retained
from archive.verify.former import check_former
from archive.verify.freshness import judge_anchors, state_freshness
from archive.verify.leaves_check import Progress
from archive.verify.log_check import LogCheck, LogResult, Options
from archive.verify.note import VerifierKey
from archive.verify.report import Report


def verify_archive(
    directory: Path,
    head_path: Path,
    *,
    progress: Progress | None = None,
    checkpoints: Sequence[bytes] = (),
    tokens: Sequence[bytes] = (),
    trust: Trust | None = None,
    records_roots: bool = True,
    quick: bool = False,
) -> Report:
    """Verify everything under `directory/log` against the head at `head_path`, and the earlier logs under
    `directory/former` against theirs.

    `checkpoints` are signed checkpoints kept outside, e.g. printed on a morning report, with or without cosignatures:
    each must be the beginning of a log of this archive. `tokens` are RFC 3161 responses over one of them. `trust` says
    whose cosignatures and time stamps count. `quick` looks at hash tiles alone before the last day, at no chunk's bytes
    and at no earlier log. `progress` is called with leaves done and leaves in all of the log at hand. Reads only;
    needs no lock and no running process. Never raises for what it finds: the report's `exit_code` is 0 intact, 1
    defects, 2 could not run.
    """
    report = Report(str(directory), _shown_path(directory, head_path))
    if not (directory / "log").is_dir():
        report.could_not_run = f"{directory} holds no log"
        return report
    options = Options(quick, records_roots, trust, progress)
    try:
        _verify(directory, head_path, report, options, Given(checkpoints, tokens))
    except ArchiveFormatError as error:
        report.could_not_run = f"the given checkpoint or trusted key cannot be read: {error}"
    except OSError as error:
        report.could_not_run = f"{error.filename or directory}: {error.strerror}"
    return report


def _shown_path(directory: Path, head_path: Path) -> str:
    return str(head_path.relative_to(directory.parent)) if head_path.parent == directory.parent else str(head_path)


def _verify(directory: Path, head_path: Path, report: Report, options: Options, given: Given) -> None:
    retained = read_retained(directory)
    newest = LogCheck(directory, head_path, report, options).run()
    logs: dict[str, LogResult] = {"": newest}
    if not options.quick:
        logs |= check_former(directory, newest, report, options)
    keys = tuple(log.key for log in logs.values() if log.key is not None)
    reader = EvidenceReader(keys, options.trust, report)
    anchors = [anchor for log in logs.values() for anchor in log.anchors]
    if keys:
        anchors += _read_evidence(reader, given, retained)
    agreeing = {folder: judge_anchors(log, _of(log.key, anchors), folder, report) for folder, log in logs.items()}
    if newest.tree is not None:
        former = [(folder, anchor) for folder, found in agreeing.items() if folder for anchor in found]
        state_freshness(agreeing[""], former, report)


def _read_evidence(reader: EvidenceReader, given: Given, retained: dict[str, bytes]) -> list[Anchor]:
    anchors = [anchor for data in given.checkpoints for anchor in reader.read_given(data)]
    anchors += [anchor for name, data in retained.items() for anchor in reader.read_retained(name, data)]
    notes = [*given.checkpoints, *retained.values()]
    stamped = [reader.read_token(response, notes) for response in given.tokens]
    return anchors + [anchor for anchor in stamped if anchor is not None]


def _of(key: VerifierKey | None, anchors: list[Anchor]) -> list[Anchor]:
    return [anchor for anchor in anchors if anchor.key == key]
