"""Refusals about cases and holds, in both languages."""

from archive.errors import AskError


class CaseError(AskError):
    """Something that a case or a hold does not allow; carries the Thai sentence too."""

    code = "bad_case"

    def __init__(self, message: str, message_th: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.message_th = message_th
