"""What heads that are kept outside say of ours. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from archive.errors import ArchiveError
from archive.note import Checkpoint, VerifierKey, open_checkpoint

WITNESS = "witness"
COPY = "copy"


@dataclass(frozen=True)
class OutsideHead:
    """What one source answered: `checkpoint`, a signed note of ours as it came, or None where it has none; or `error`,
    a sentence, where it could not be asked. `kind` is `witness` or `copy`."""

    name: str
    kind: str
    checkpoint: str | None
    error: str | None = None


@dataclass(frozen=True)
class JudgedHead:
    """A head that our key signed, and who has it."""

    name: str
    kind: str
    checkpoint: Checkpoint


@dataclass
class Judgement:
    """Every source stands in one list. A source in `ahead` or `forked` means that what we have is not the newest that
    was signed, or not the same log: signing would fork it.
    """

    ahead: list[JudgedHead] = field(default_factory=list)
    """Larger than ours, the largest first."""
    forked: list[JudgedHead] = field(default_factory=list)
    """Another root at a size that we have too."""
    behind: list[JudgedHead] = field(default_factory=list)
    """Ours, or smaller than ours; without `root_at` the root of a smaller one is not compared."""
    without: list[str] = field(default_factory=list)
    """Names of sources that never had a head of ours."""
    unreachable: list[tuple[str, str]] = field(default_factory=list)
    """Name and sentence."""
    foreign: list[tuple[str, str]] = field(default_factory=list)
    """Name, and why what it has is no head of ours: not signed by our key, of another log, or no note. Ignored."""

    @property
    def reached(self) -> bool:
        """Whether any source could be asked and gave an answer that counts."""
        return bool(self.ahead or self.forked or self.behind or self.without)


def judge_heads(
    own: Checkpoint,
    log_key: VerifierKey,
    found: Sequence[OutsideHead],
    root_at: Callable[[int], bytes] | None = None,
) -> Judgement:
    """Compare what was found with `own`. `root_at` gives the root of our tree's first n leaves, for sizes of at least
    1 below ours: with it a fork that lies in the past is found too. Raises what `root_at` raises.
    """
    judgement = Judgement()
    for head in found:
        if head.error is not None:
            judgement.unreachable.append((head.name, head.error))
        elif head.checkpoint is None:
            judgement.without.append(head.name)
        else:
            try:
                checkpoint = open_checkpoint(head.checkpoint.encode("utf-8", "replace"), log_key)
            except ArchiveError as error:
                judgement.foreign.append((head.name, str(error)))
                continue
            judged = JudgedHead(head.name, head.kind, checkpoint)
            _list_for(judgement, own, checkpoint, root_at).append(judged)
    judgement.ahead.sort(key=lambda one: one.checkpoint.size, reverse=True)
    return judgement


def _list_for(
    judgement: Judgement, own: Checkpoint, seen: Checkpoint, root_at: Callable[[int], bytes] | None
) -> list[JudgedHead]:
    if seen.size > own.size:
        return judgement.ahead
    if seen.size == own.size:
        return judgement.behind if seen.root == own.root else judgement.forked
    if root_at is not None and seen.size > 0 and root_at(seen.size) != seen.root:
        return judgement.forked
    return judgement.behind
