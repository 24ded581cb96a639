"""Several processes for one log: parsing leaves holds the interpreter's lock, so that threads would not help."""

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from archive.verify.range_check import LogJob
from archive.verify.worker import Task, run_task

ENDED = "a process of the verifier ended before its work"
TASKS_WAITING_PER_PROCESS = 2
"""Answers are taken in order; this bounds how many wait for the one before them."""


def count_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0))


class _Worker:
    """One process with its pipes."""

    def __init__(self, job: LogJob) -> None:
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        command = [sys.executable, "-m", "archive.verify.worker"]
        try:
            self._process = subprocess.Popen(command, stdin=requests, stdout=answers)
        finally:
            os.close(requests)
            os.close(answers)
        self._to = os.fdopen(self._requests, "wb")
        self._from = os.fdopen(self._answers, "rb")
        self._send(job)

    def ask(self, task: Task) -> Any:
        """Raises OSError, also when the process ended."""
        self._send(task)
        try:
            answer = pickle.load(self._from)  # noqa: S301 - from a process of our own
        except (EOFError, pickle.UnpicklingError) as error:
            raise OSError(0, ENDED) from error
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _send(self, value: object) -> None:
        try:
            pickle.dump(value, self._to, pickle.HIGHEST_PROTOCOL)
            self._to.flush()
        except BrokenPipeError as error:
            raise OSError(0, ENDED) from error

    def close(self) -> None:
        """The process ends with its input."""
        for pipe in (self._to, self._from):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        self._process.wait()


class WorkerPool:
    """`processes` workers for `job`, none of them when it is 1. Use as a context manager.

    A worker is a new interpreter and no copy of this one: the caller may have threads and much memory.
    """

    def __init__(self, job: LogJob, processes: int) -> None:
        self._job = job
        self._threads = ThreadPoolExecutor(processes, "verify-process") if processes > 1 else None
        self._processes = processes
        self._local = threading.local()
        self._workers: list[_Worker] = []

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.close()

    def run(self, tasks: Iterable[Task]) -> Iterator[Any]:
        """The answers in the order of `tasks`. Raises OSError, also for a worker that ended."""
        if self._threads is None:
            yield from (run_task(self._job, task) for task in tasks)
            return
        waiting: deque[Future[Any]] = deque()
        for task in tasks:
            waiting.append(self._threads.submit(self._ask, task))
            if len(waiting) > self._processes * TASKS_WAITING_PER_PROCESS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _ask(self, task: Task) -> Any:
        """In a thread that has a process of its own."""
        worker: _Worker | None = getattr(self._local, "worker", None)
        if worker is None:
            worker = self._local.worker = _Worker(self._job)
            self._workers.append(worker)
        return worker.ask(task)
