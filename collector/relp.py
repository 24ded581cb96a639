"""RELP, the server's side of a session: bytes in, messages and answers out. No socket, no clock.

Frame: TXNR SP COMMAND SP DATALEN [SP DATA] LF (librelp, doc/relp.html). A session begins with `open`. A `syslog`
command is answered only when its caller says so, which is what makes the protocol reliable.
"""

import re
from typing import NamedTuple

MAX_DATA_BYTES = 128 * 1024
"""librelp's own default for one frame; a sender with a longer message cannot know that it will be taken."""
MAX_HEADER_BYTES = 9 + 1 + 32 + 1 + 9 + 1
"""TXNR and DATALEN have at most nine digits, COMMAND at most 32 letters, each with a separator behind."""
OFFERS = b"relp_version=0\nrelp_software=phayan\ncommands=syslog"
SERVER_CLOSE = b"0 serverclose 0\n"
"""A hint outside any transaction: the server is about to close."""

_HEADER = re.compile(rb"([0-9]{1,9}) ([A-Za-z]{1,32}) ([0-9]{1,9})([ \n])")
_HEADER_BEGUN = re.compile(rb"[0-9]{1,9}(?: (?:[A-Za-z]{1,32}(?: [0-9]{0,9})?)?)?")


class RelpRound(NamedTuple):
    """What the bytes of one read meant.

    `messages` are payloads of `syslog`; `answers` acknowledge all of them and may be sent once they are durable.
    `at_once` goes out now. `close_number` is the transaction of a `close`, to be answered after all else.
    """

    messages: list[bytes]
    answers: bytes
    at_once: bytes
    close_number: int | None


class RelpSession:
    """One connection. Once `malformed`, the place of the next frame is lost and the connection is to be closed."""

    def __init__(self) -> None:
        self.malformed = False
        self.is_open = False
        self._rest = b""
        self._wanted_bytes = 0
        self._closed = False

    def feed(self, data: bytes) -> RelpRound:
        """Frames completed by `data`; nothing counts after a `close`. Never raises.

        Nothing is scanned twice while one frame is incomplete.
        """
        if self._closed:
            return RelpRound([], b"", b"", None)
        messages: list[bytes] = []
        answers: list[bytes] = []
        at_once: list[bytes] = []
        close_number = None
        block = self._rest + data
        position = 0
        if len(block) >= self._wanted_bytes:
            while not self.malformed and close_number is None:
                frame = self._next_frame(block, position)
                if frame is None:
                    break
                number, command, start, end = frame
                position = end + 1
                if command == b"syslog" and self.is_open:
                    messages.append(block[start:end])
                    answers.append(_answer(number, b"200 OK"))
                elif command == b"open" and not self.is_open:
                    self.is_open = True
                    at_once.append(_answer(number, b"200 OK\n" + OFFERS))
                elif command == b"close":
                    close_number = number
                    self._closed = True
                elif self.is_open and command not in (b"syslog", b"open"):
                    at_once.append(_answer(number, b"500 command not supported"))
                else:  # a message outside a session, or a second open
                    self.malformed = True
        self._rest = block[position:]
        return RelpRound(messages, b"".join(answers), b"".join(at_once), close_number)

    def _next_frame(self, block: bytes, position: int) -> tuple[int, bytes, int, int] | None:
        """TXNR, COMMAND and where DATA starts and ends; None when it is incomplete or malformed."""
        self._wanted_bytes = 0
        header = _HEADER.match(block, position)
        if header is None:
            begun = len(block) == position or _HEADER_BEGUN.fullmatch(block, position) is not None
            self.malformed = not begun
            return None
        length = int(header[3])
        start = header.end()
        if header[4] == b"\n":
            # DATALEN 0 has no DATA, and this LF is already the trailer.
            start -= 1
            self.malformed = length != 0
        self.malformed = self.malformed or length > MAX_DATA_BYTES
        if self.malformed:
            return None
        end = start + length
        if end >= len(block):
            self._wanted_bytes = end + 1 - position
            return None
        if block[end] != ord("\n"):
            self.malformed = True
            return None
        return int(header[1]), header[2].lower(), start, end


def close_answer(number: int) -> bytes:
    """The last bytes of a session the client closed."""
    return _answer(number, b"") + SERVER_CLOSE


def _answer(number: int, data: bytes) -> bytes:
    return b"%d rsp %d %s\n" % (number, len(data), data) if data else b"%d rsp 0\n" % number
