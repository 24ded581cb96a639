"""A process that checks parts of a log for another one: `python -m archive.verify.worker`.

Standard input brings pickles: a LogJob first, then tasks; each task is answered with one pickle on standard output. It
ends with its input, and so with the process that started it.
"""

import os
import pickle
import sys
from typing import Any

from archive.verify.range_check import LogJob, RangeCheck, RangeResult
from archive.verify.records_check import RecordsCheck, RecordsResult
from archive.verify.report import Findings
from archive.verify.segments import ChunkCheck

Task = tuple[str, Any]


def check_range(job: LogJob, first: int, end: int) -> RangeResult:
    """Full bundles `first` to before `end` with their chunks, in this process alone."""
    findings = Findings()
    chunk_check = ChunkCheck(job.log / "segments", findings, cores=1, reads_chunks=job.reads_chunks)
    try:
        result = RangeCheck(job, chunk_check, findings).check(first, end)
    finally:
        chunk_check.finish()
    result.missing = chunk_check.missing
    return result


def check_records(job: LogJob, numbers: list[int]) -> RecordsResult:
    """The `records` leaves `numbers` with their units files, in this process alone."""
    return RecordsCheck(job).check(numbers)


def run_task(job: LogJob, task: Task) -> RangeResult | RecordsResult:
    kind, arguments = task
    return check_range(job, *arguments) if kind == "range" else check_records(job, arguments)


def main() -> None:
    # Whatever else writes to standard output must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    job: LogJob = pickle.load(requests)  # noqa: S301 - from the process that started this one
    while True:
        try:
            task: Task = pickle.load(requests)  # noqa: S301
        except EOFError:
            return
        try:
            answer: object = run_task(job, task)
        except OSError as error:
            answer = error
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    main()
