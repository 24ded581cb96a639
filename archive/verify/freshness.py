"""Whether what was anchored is a beginning of these logs, and up to where somebody outside has seen them."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from archive.verify.anchors import Anchor
from archive.verify.evidence import GIVEN, RETAINED
from archive.verify.log_check import LogResult
from archive.verify.report import Report, format_time

NOT_CHECKED = "not checked: key unknown"
VERIFIED = "verified"


def judge_anchors(log: LogResult, anchors: Sequence[Anchor], folder: str, report: Report) -> list[Anchor]:
    """The anchors of one log that agree with its tree; the others become defects. `folder` is the log's place, empty
    for the newest log.
    """
    if log.tree is None:
        return []
    size = log.tree.size
    agreeing: list[Anchor] = []
    contradicting: list[Anchor] = []
    for anchor in sorted(anchors, key=lambda anchor: anchor.size):
        root = log.tree.root_at(anchor.size)
        if anchor.size > size:
            contradicting.append(anchor)
        elif root is not None:
            (agreeing if root == anchor.root else contradicting).append(anchor)
    sizes = [anchor.size for anchor in agreeing]
    for anchor in contradicting:
        # A tree that agrees with one head agrees with all before it, so that the change is after the last such head.
        place = bisect_left(sizes, anchor.size)
        _report_contradiction(anchor, sizes[place - 1] if place else 0, folder, size, report)
    return agreeing


def _report_contradiction(anchor: Anchor, agreed: int, folder: str, size: int, report: Report) -> None:
    code = "anchor_contradicts"
    if anchor.by in (GIVEN, RETAINED):
        kind = "anchor" if anchor.by == GIVEN else "retained"
        code = f"{kind}_ahead" if anchor.size > size else f"{kind}_inconsistent"
    time = "-" if anchor.unix_ns is None else format_time(anchor.unix_ns)
    detail = {"agreed": agreed, "size": anchor.size, "name": anchor.name, "time": time}
    file = folder + anchor.file
    if anchor.leaf is None:
        file = anchor.file if anchor.file.startswith("anchors/") else f"{folder}head" if folder else report.head_file
    report.add_defect(code, file, detail=detail, leaf=anchor.leaf)


def state_freshness(newest: Sequence[Anchor], former: Sequence[tuple[str, Anchor]], report: Report) -> None:
    """`newest` are the agreeing anchors of the newest log, `former` those of earlier ones with their folders."""
    outside = [anchor for anchor in newest if anchor.is_known]
    report.anchors = _newest_of_each_name(newest)
    for anchor in _select_newest(outside).values():
        _state_anchor(anchor, report)
    for folder, anchor in former:
        if anchor.by == GIVEN:
            report.add_statement("anchored_former", {"size": anchor.size, "folder": folder})
    unknown = {a.name for a in newest if not a.is_known and a.by != RETAINED} - {a.name for a in outside}
    if unknown:
        report.add_statement("anchor_not_checked", ", ".join(sorted(unknown)))
    if not outside:
        report.add_statement("freshness_not_judged" if report.defect_count else "freshness_unproven")
        return
    best = max(outside, key=lambda anchor: (anchor.size, anchor.unix_ns is not None, -(anchor.unix_ns or 0)))
    report.freshness = f"unchanged up to leaf {best.size}"
    if best.unix_ns is not None:
        report.freshness += f", seen by {best.name} at {format_time(best.unix_ns)}"


def _state_anchor(anchor: Anchor, report: Report) -> None:
    if anchor.unix_ns is None:
        report.add_statement("anchored", anchor.size)
        return
    detail = {"size": anchor.size, "name": anchor.name, "time": format_time(anchor.unix_ns)}
    report.add_statement("anchored_by", detail)


def _select_newest(anchors: Sequence[Anchor]) -> dict[tuple[str, str], Anchor]:
    newest: dict[tuple[str, str], Anchor] = {}
    for anchor in anchors:
        known = newest.get((anchor.by, anchor.name))
        if known is None or (anchor.size, anchor.unix_ns or 0) >= (known.size, known.unix_ns or 0):
            newest[anchor.by, anchor.name] = anchor
    return newest


def _newest_of_each_name(anchors: Sequence[Anchor]) -> list[dict[str, Any]]:
    """Data leaves below `size` were there at `unix_ns`; leaves after `leaf` were made after it."""
    return [
        {
            "by": anchor.by,
            "name": anchor.name,
            "size": anchor.size,
            "unix_ns": None if anchor.unix_ns is None else str(anchor.unix_ns),
            "leaf": anchor.leaf,
            "evidence": VERIFIED if anchor.is_known or anchor.by == RETAINED else NOT_CHECKED,
        }
        for _, anchor in sorted(_select_newest(anchors).items())
    ]
