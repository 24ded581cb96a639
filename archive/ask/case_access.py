"""Who may see and change cases, and whether the second person is another one (R44, R58)."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from archive.ask.audit import Actor, Auditor
from archive.ask.operators import OperatorError, OperatorStore
from archive.cases.errors import CaseError
from archive.cases.events import CaseEvent
from archive.cases.register import Case
from archive.local_rpc import Peer

CONSOLE = "console"
"""Role of a local user who did not sign in as an operator."""


class Right(Enum):
    """What a role may do with cases and holds."""

    SEE = "see"
    CHANGE = "change"
    SECOND = "be the second person of"


RIGHTS: dict[str, frozenset[Right]] = {
    "administrator": frozenset(Right),
    CONSOLE: frozenset({Right.SEE, Right.CHANGE}),
    "auditor": frozenset({Right.SEE}),
}
"""A role that is not here sees no case at all."""


def may_see(actor: Actor, case: Case | None) -> bool:
    """Whether `actor` may read this case; None asks for holds, which name the same people."""
    return Right.SEE in RIGHTS.get(actor.role, frozenset())


def check_right(actor: Actor, right: Right, *, one_person: bool = False) -> None:
    """Raises CaseError `not_allowed`. In one-person mode whoever may change may approve too."""
    rights = RIGHTS.get(actor.role, frozenset())
    if right not in rights and not (right is Right.SECOND and one_person and Right.CHANGE in rights):
        raise CaseError(
            f"the role {actor.role} may not {right.value} cases and holds",
            f"บทบาท {actor.role} ไม่มีสิทธิ์ทำรายการนี้",
            code="not_allowed",
        )


def check_second_person(actor: Actor, first: frozenset[str], asked: CaseEvent, *, one_person: bool) -> None:
    """Raises CaseError `second_person` where the one who decides is one of those who asked, or where `asked`, the
    newest of what is decided, was done at the console without signing in: then nobody knows that these are two."""
    check_right(actor, Right.SECOND, one_person=one_person)
    if one_person:
        return
    if asked.role == CONSOLE:
        subject = asked.hold or asked.case
        english, thai = ("extend", "ขยาย") if asked.hold else ("open or change", "เปิดหรือแก้ไข")
        raise CaseError(
            f"{subject} was asked for at the console without signing in; {english} it signed in, --as NAME",
            f"{subject} ถูกขอที่คอนโซลโดยไม่ได้ลงชื่อเข้าใช้ โปรด{thai}โดยลงชื่อเข้าใช้ด้วย --as ชื่อผู้ใช้ก่อน",
            code="second_person",
        )
    if actor.name in first:
        raise CaseError(
            f"{actor.name} asked for this; another person has to decide",
            f"{actor.name} เป็นผู้ขอรายการนี้ ต้องให้บุคคลอื่นเป็นผู้อนุมัติ",
            code="second_person",
        )


def acting_person(
    auditor: Auditor, operators: OperatorStore, peer: Peer, arguments: Mapping[str, Any], *, is_needed: bool
) -> Actor:
    """Who acts: on the console the person who signs in with `name` and `password`, so that a second one is really
    there. Without a name the console itself, unless a person `is_needed`. Raises OperatorError, CaseError."""
    actor = auditor.identify(peer, arguments)
    name = str(arguments.get("name") or "")
    if actor.role != CONSOLE or (not name and not is_needed):
        return actor
    if not name:
        raise CaseError(
            "a second person has to sign in: give --as NAME of an operator, who types the password",
            "ต้องให้บุคคลที่สองลงชื่อเข้าใช้ โปรดระบุ --as ชื่อผู้ใช้ แล้วให้ผู้นั้นใส่รหัสผ่าน",
            code="second_person",
        )
    try:
        token, operator = operators.log_in(name, str(arguments.get("password", "")))
    except OperatorError as error:
        auditor.record(Actor(name[:64], "none"), "operator_log_in_refused", {"why": error.code})
        raise
    operators.log_out(token)
    return Actor(operator.name, operator.role)
