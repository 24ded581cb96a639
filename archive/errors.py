"""Error family of the archive. Every error carries a stable `code` used as metric label and in the manual."""


class ArchiveError(Exception):
    """Something the archive could not do."""

    code = "archive_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class ArchiveFormatError(ArchiveError):
    """Bytes that do not follow docs/FORMAT.md."""

    code = "archive_format"


class ArchiveStateError(ArchiveError):
    """An order of calls or a state on disk that the archive refuses to continue from."""

    code = "archive_state"


class ArchiveIntegrityError(ArchiveError):
    """Evidence that does not verify. Never caught and continued."""

    code = "archive_integrity"


class SpoolError(ArchiveError):
    """A spool that cannot take or keep a record."""

    code = "spool"


class AskError(ArchiveError):
    """A question the ask service refuses; the message is for a person."""

    code = "ask"


class TimestampError(ArchiveError):
    """A time stamp that could not be had, or that does not verify."""

    code = "timestamp"


class AnchorError(ArchiveError):
    """A cosignature or time stamp that is none over a head of ours."""

    code = "anchor"
