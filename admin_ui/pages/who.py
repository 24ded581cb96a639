"""The attribution question and its answer as a chain of cards. No sentence here says that a person did something."""

from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from admin_ui.language import fault_of, say, why_in
from admin_ui.pages.desk import ask, zone
from admin_ui.times import CANONICAL, canonical, typed_form
from archive.errors import ArchiveError, AskError

blueprint = Blueprint("who", __name__)

QUESTION_FIELDS = ("address", "port", "protocol", "to", "at", "tolerance_seconds", "realm")
MAX_FIELD_CHARACTERS = 100
"""Longest address with port and zone is far below; longer input is a mistake."""
_MACHINE_STEPS = frozenset({"public_address", "inside_address", "session", "device", "account"})


def read_question(given: Any) -> dict[str, Any]:
    """The filled-in fields of a question, as text."""
    return {
        name: value for name in QUESTION_FIELDS if (value := str(given.get(name, "")).strip()[:MAX_FIELD_CHARACTERS])
    }


def ask_arguments(question: dict[str, str]) -> dict[str, Any]:
    """Arguments of the service's `who` request. Raises AskError `bad_question`."""
    arguments: dict[str, Any] = dict(question)
    tolerance = arguments.pop("tolerance_seconds", "")
    if tolerance:
        try:
            arguments["tolerance_seconds"] = float(tolerance)
        except ValueError:
            raise AskError(f"{tolerance!r} is not a number of seconds", code="bad_question") from None
    return arguments


@blueprint.get("/who")
def who_page() -> str | tuple[str, int] | Response:
    """The form; with `address` or `to` also the answer. The moment in the address is always absolute."""
    question = read_question(request.args)
    if not question.get("address") and not question.get("to"):
        if not request.args.keys() & set(QUESTION_FIELDS):
            return render_template("who.html", form={}, fault=None, answer=None)
        fault = fault_of(AskError("give an address or a destination", code="bad_question"), g.language)
        return render_template("who.html", form=_filled(question), fault=fault, answer=None), 400
    try:
        if not CANONICAL.match(question.get("at", "")):
            question["at"] = canonical(question.get("at", "now"), zone())
            return redirect(url_for("who.who_page", **question), 303)
        result = ask("who", **ask_arguments(question))
    except ArchiveError as error:
        if error.code in ("not_signed_in", "not_running"):
            raise
        return render_template("who.html", form=_filled(question), fault=fault_of(error, g.language), answer=None), 400
    return render_template(
        "who.html", form=_filled(question), fault=None, answer=_shape(result), question=question, **_cases(result)
    )


def _cases(result: dict[str, Any]) -> dict[str, Any]:
    """Approved cases under which a package can be made, newest first. Without candidates there is nothing to make."""
    if not result.get("candidates"):
        return {"cases": [], "one_person": False}
    try:
        listed = ask("case_list", state="approved") or {}
    except AskError as error:
        if error.code in ("not_signed_in", "not_running"):
            raise
        return {"cases": [], "one_person": False}
    cases = [
        {"id": str(case["id"]), "text": " · ".join(str(case[name]) for name in ("id", "letter", "title") if case[name])}
        for case in listed.get("cases") or []
        if case["ground"]["allows_package"]
    ]
    return {"cases": cases, "one_person": bool(listed.get("one_person"))}


def _filled(question: dict[str, str]) -> dict[str, str]:
    return {**question, "at_typed": typed_form(question.get("at"), g.language, zone())}


def question_text(asked: dict[str, Any]) -> str:
    """`203.0.113.1 : 50000 tcp -> 198.51.100.7:443`, as asked."""
    address, port = str(asked.get("address") or ""), asked.get("port")
    if address and port not in (None, ""):
        address = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    parts = [address]
    if asked.get("protocol") not in (None, ""):
        parts.append({"6": "TCP", "17": "UDP", "1": "ICMP"}.get(str(asked["protocol"]), str(asked["protocol"])).upper())
    if asked.get("to"):
        parts.append(f"→ {asked['to']}")
    if asked.get("realm"):
        parts.append(f"({asked['realm']})")
    return " ".join(part for part in parts if part)


def _shape(result: dict[str, Any]) -> dict[str, Any]:
    why, why_language = why_in(str(result.get("why") or ""), g.language)
    candidates = [_shape_candidate(candidate) for candidate in result.get("candidates") or []]
    asked = result.get("asked") or {}
    return {
        "certainty": result.get("certainty", ""),
        "sentence": (result.get("sentence") or {}).get(g.language, ""),
        "lines": _lines(candidates),
        "why": why,
        "why_language": why_language,
        "asked": asked,
        "asked_text": question_text(asked),
        "indexed_until": result.get("indexed_until"),
        "log": result.get("log"),
        "losses": result.get("losses") or [],
        "candidates": candidates,
    }


def _shape_candidate(candidate: dict[str, Any]) -> dict[str, Any]:
    steps = []
    weakest_seen = False
    certainty = candidate.get("certainty", "")
    for step in candidate.get("steps") or []:
        why, why_language = why_in(str(step.get("why") or ""), g.language)
        is_weakest = not weakest_seen and certainty != "exact" and step.get("certainty") == certainty
        weakest_seen = weakest_seen or is_weakest
        steps.append(
            {
                "step": step.get("step", ""),
                "value": step.get("value") or "",
                "certainty": step.get("certainty", ""),
                "why": why,
                "why_language": why_language,
                "log": step.get("log"),
                "leaf_index": step.get("leaf_index"),
                "row": step.get("row"),
                "from": step.get("from"),
                "to": step.get("to"),
                "is_weakest": is_weakest,
                "is_machine": step.get("step") in _MACHINE_STEPS,
            }
        )
    return {**candidate, "certainty": certainty, "steps": steps}


def _lines(candidates: list[dict[str, Any]]) -> list[str]:
    """The whole in words: what was logged in where, and to whom the account is registered."""
    if len(candidates) != 1:
        return [say("who.line_several", g.language, n=len(candidates))] if candidates else []
    candidate = candidates[0]
    inside = next((s["value"] for s in candidate["steps"] if s["step"] == "inside_address"), "")
    lines = []
    if candidate.get("account"):
        parts = [say("who.line_account", g.language, account=candidate["account"])]
        if candidate.get("device"):
            parts.append(say("who.line_device", g.language, device=candidate["device"]))
        if inside:
            parts.append(say("who.line_address", g.language, address=inside))
        lines.append(" ".join(parts) + ("." if g.language == "en" else ""))
    if candidate.get("person"):
        lines.append(say("who.line_person", g.language, person=candidate["person"]))
    return lines
