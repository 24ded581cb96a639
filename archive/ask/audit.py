"""The audit record before every answer. No audit record, no answer."""

import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archive.ask.operators import OperatorError, OperatorStore
from archive.clock import Clock
from archive.errors import AskError, SpoolError
from archive.event_record import encode_event
from archive.local_rpc import Peer
from archive.spool import SpoolWriter

MAX_RECORD_BYTES = 64 * 1024
"""An audit record holds the whole question; none that a person asks comes near."""


@dataclass(frozen=True)
class Actor:
    """Who asks: a signed-in operator, or a local user known by the kernel (role `console`)."""

    name: str
    role: str


class Auditor:
    """Decides who asks and writes what is asked, durably, before the question is answered."""

    def __init__(
        self, writer: SpoolWriter, operators: OperatorStore, clock: Clock, console_uids: frozenset[int]
    ) -> None:
        self._writer = writer
        self._operators = operators
        self._clock = clock
        self._console_uids = console_uids

    def identify(self, peer: Peer, arguments: Mapping[str, Any]) -> Actor:
        """The operator of the token in `arguments`, else the local user. Raises OperatorError `not_signed_in`."""
        token = arguments.get("token")
        if token is not None:
            operator = self._operators.find(str(token))
            if operator is None:
                raise OperatorError("Please sign in again.", "โปรดเข้าสู่ระบบอีกครั้ง", code="not_signed_in")
            return Actor(operator.name, operator.role)
        if arguments.get("from_pages") or peer.uid not in self._console_uids:
            raise OperatorError("Please sign in.", "โปรดเข้าสู่ระบบ", code="not_signed_in")
        return Actor(f"uid {peer.uid} ({_user_name(peer.uid)})", "console")

    def record(self, actor: Actor, action: str, question: Mapping[str, Any], reason: str = "") -> None:
        """Write the audit record and wait until it is durable. Raises AskError `audit_failed`; then nothing is
        answered."""
        shown = {k: v for k, v in question.items() if k not in ("token", "password", "secret", "from_pages")}
        values = {"actor": actor.name, "role": actor.role, "question": shown, "reason": reason}
        record = encode_event(action, self._clock.unix_ns(), values)
        if len(record) > MAX_RECORD_BYTES:
            raise AskError(f"a question of {len(record)} bytes; at most {MAX_RECORD_BYTES}", code="bad_question")
        try:
            ticket = self._writer.append(record, listener="audit")
            self._writer.wait_durable(ticket)
        except SpoolError as error:
            raise AskError(
                f"the audit record could not be written ({error}), so nothing is answered", code="audit_failed"
            ) from error


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "unknown"
