"""Error family of the collector. Every error carries a stable `code` used as metric label and in the manual."""


class CollectorError(Exception):
    """Something the collector could not do; the message is one sentence for a person."""

    code = "collector_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class FormatError(CollectorError):
    """Bytes from a peer that do not follow their standard. The peer's fault."""

    code = "collector_format"


class FrameFormatError(FormatError):
    """A stream whose framing is lost, so the place of the next frame is not known (RFC 6587)."""

    code = "collector_frame_format"


class CaptureFormatError(FormatError):
    """A capture file (pcap, pcapng) whose structure is broken."""

    code = "collector_capture_format"


class InputFileError(CollectorError):
    """A file given by the operator that cannot be read."""

    code = "collector_input_file"
