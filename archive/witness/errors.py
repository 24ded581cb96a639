"""Errors of asking a witness."""

from archive.errors import ArchiveError


class WitnessError(ArchiveError):
    """A witness that could not be asked or did not cosign. `status` is that of its HTTP answer, if there was one.

    Codes: `witness_unreachable`, `witness_refused` (it said no), `witness_answer` (what it said is no answer),
    `witness_ahead`, `witness_url`.
    """

    code = "witness_answer"

    def __init__(self, message: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status


class WitnessAheadError(WitnessError):
    """The witness says that it has a larger head of our log than we: we are a restored or copied one, or it lies."""

    code = "witness_ahead"

    def __init__(self, witness: str, size: int, our_size: int) -> None:
        super().__init__(
            f"witness {witness} has a head of {size} leaves, ours has {our_size}: this archive is an older copy",
            status=409,
        )
        self.size = size
