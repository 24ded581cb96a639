"""Requests about cases and holds. Like all others they are identified and audited before anything is done."""

from collections.abc import Callable
from typing import Any

from archive.ask.audit import Actor, Auditor
from archive.ask.case_access import acting_person
from archive.ask.case_desk import CaseDesk
from archive.ask.operators import OperatorStore
from archive.local_rpc import Handler, Peer

Arguments = dict[str, Any]
CASE_FIELDS = (
    "title", "letter", "officer", "unit", "ground", "court_order", "override_reason", "legal_items", "due_days",
    "received", "scope",
)  # fmt: skip


def make_case_handlers(
    cases: CaseDesk, auditor: Auditor, operators: OperatorStore, *, one_person: bool
) -> dict[str, Handler]:
    """Handlers by name. `name` and `password` beside the arguments are those of the person who acts on the console."""
    holds = cases.holds

    def handler(op: str, answer: Callable[[Actor, Arguments, str], Any], *, is_decision: bool = False) -> Handler:
        def handle(peer: Peer, arguments: Arguments) -> Any:
            asking = auditor.identify(peer, arguments)
            auditor.record(asking, op, arguments, _text(arguments, "reason"))
            needed = is_decision and not one_person
            actor = acting_person(auditor, operators, peer, arguments, is_needed=needed)
            return answer(actor, arguments, asking.name if asking != actor else "")

        return handle

    def case_open(actor: Actor, arguments: Arguments, via: str) -> Any:
        return cases.open(actor, _given(arguments))

    def case_list(actor: Actor, arguments: Arguments, via: str) -> Any:
        return cases.list_cases(actor, _text(arguments, "state"))

    def case_show(actor: Actor, arguments: Arguments, via: str) -> Any:
        return cases.show(actor, _text(arguments, "id"))

    def case_change(actor: Actor, arguments: Arguments, via: str) -> Any:
        return cases.change(actor, _text(arguments, "id"), _given(arguments))

    def case_approve(actor: Actor, arguments: Arguments, via: str) -> Any:
        return cases.approve(actor, _text(arguments, "id"), _text(arguments, "note"), via=via)

    def case_refuse(actor: Actor, arguments: Arguments, via: str) -> Any:
        return cases.refuse(actor, _text(arguments, "id"), _text(arguments, "reason"))

    def case_close(actor: Actor, arguments: Arguments, via: str) -> Any:
        return cases.close(actor, _text(arguments, "id"), _text(arguments, "reason"))

    def case_hand_over(actor: Actor, arguments: Arguments, via: str) -> Any:
        return cases.hand_over(actor, _text(arguments, "id"), arguments)

    def legal_items(actor: Actor, arguments: Arguments, via: str) -> Any:
        return cases.legal_items()

    def hold_place(actor: Actor, arguments: Arguments, via: str) -> Any:
        return holds.place(actor, _text(arguments, "kind"), arguments)

    def hold_extend(actor: Actor, arguments: Arguments, via: str) -> Any:
        return holds.extend(actor, _text(arguments, "id"), arguments)

    def hold_release(actor: Actor, arguments: Arguments, via: str) -> Any:
        return holds.release(actor, _text(arguments, "id"), _text(arguments, "reason"), via=via)

    def hold_list(actor: Actor, arguments: Arguments, via: str) -> Any:
        return holds.list_holds(actor, _text(arguments, "state"))

    def hold_show(actor: Actor, arguments: Arguments, via: str) -> Any:
        return holds.show(actor, _text(arguments, "id"))

    def clock_confirm(actor: Actor, arguments: Arguments, via: str) -> Any:
        return cases.confirm_clock(actor, _text(arguments, "reason"))

    plain = (
        case_open, case_list, case_show, case_change, case_refuse, case_close, case_hand_over, legal_items,
        hold_place, hold_extend, hold_list, hold_show, clock_confirm,
    )  # fmt: skip
    decisions = (case_approve, hold_release)
    return {answer.__name__: handler(answer.__name__, answer) for answer in plain} | {
        answer.__name__: handler(answer.__name__, answer, is_decision=True) for answer in decisions
    }


def _text(arguments: Arguments, name: str) -> str:
    value = arguments.get(name)
    return value if isinstance(value, str) else ""


def _given(arguments: Arguments) -> Arguments:
    return {name: arguments[name] for name in CASE_FIELDS if name in arguments}
