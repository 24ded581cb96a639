"""The answer to an attribution question as JSON: the `who` object of docs/CONTRACT.md. Pure."""

from typing import Any

from archive.addresses import format_endpoint
from archive.ask.carrier import carrier_to_json
from archive.ask.coverage import Coverage
from archive.ask.traffic import translation_route
from archive.attribution.candidate import Answer, Seen, Step
from archive.attribution.certainty import SENTENCES, Certainty
from archive.attribution.facts_at import FactsAt
from archive.attribution.question import Known, Question
from archive.time_text import format_iso

WHO_FORMAT = 1


def answer_to_json(question: Question, result: Answer, coverage: Coverage, known: Known, zone: str) -> dict[str, Any]:
    """The `who` object of docs/CONTRACT.md."""
    start, end = question.window
    facts = known.facts
    uplink = facts.network_of(question.address) if question.address is not None else None
    english, thai = SENTENCES[str(result.verdict)]
    return {
        "format": WHO_FORMAT,
        "asked": {
            "address": format_endpoint(question.address, None) if question.address else None,
            "port": question.port,
            "protocol": question.protocol,
            "to": format_endpoint(question.to_address, question.to_port) if question.to_address else None,
            "at": format_iso(question.at_unix_ns, zone),
            "from": format_iso(start, zone),
            "until": format_iso(end, zone),
            "tolerance_seconds": question.tolerance_seconds,
            "realm": question.realm,
        },
        "certainty": str(result.verdict),
        "sentence": {"en": english, "th": thai},
        "why": result.why,
        "uplink": {"name": uplink.uplink, "kind": uplink.kind, "is_ours": uplink.is_ours} if uplink else None,
        "carrier": carrier_to_json(question, known.carrier, zone) if result.verdict == Certainty.NOT_OURS else None,
        "indexed_until": format_iso(coverage.indexed_until_ns, zone),
        "losses": [
            {
                "from": format_iso(loss["start_unix_ns"], zone),
                "until": format_iso(loss["end_unix_ns"], zone),
                "listener": loss["listener"],
                "count": loss["count"],
                "how": loss["how"],
                "log": loss["log"],
                "leaf_index": loss["leaf_index"],
                "row": loss["row"],
            }
            for loss in known.losses
        ],
        "candidates": [
            {
                "person": candidate.person,
                "account": candidate.account,
                "device": candidate.device,
                "certainty": str(candidate.certainty),
                "route": _route_to_json(candidate.seen, facts),
                "steps": [_step_to_json(step, zone) for step in candidate.steps],
            }
            for candidate in result.candidates
        ],
    }


def _route_to_json(seen: Seen | None, facts: FactsAt) -> dict[str, Any] | None:
    """The way of the translation that led to a candidate; null where the address itself was asked for."""
    return None if seen is None else translation_route(seen.sender_address, seen.outside_address, facts)


def _step_to_json(step: Step, zone: str) -> dict[str, Any]:
    proof = step.evidence
    return {
        "step": step.step,
        "value": step.value,
        "certainty": str(step.certainty),
        "log": proof.log if proof else None,
        "leaf_index": proof.leaf_index if proof else None,
        "row": proof.row if proof else None,
        "carried_log": proof.carried.log if proof and proof.carried else None,
        "carried_leaf_index": proof.carried.leaf_index if proof and proof.carried else None,
        "carried_row": proof.carried.row if proof and proof.carried else None,
        "from": format_iso(step.start_ns, zone) if step.start_ns is not None else None,
        "to": format_iso(step.end_ns, zone) if step.end_ns is not None else None,
        "why": step.why,
    }
