"""Whether a package may be made of a question under a case. Pure."""

from archive.attribution.question import Question
from archive.cases.errors import CaseError
from archive.cases.legal import LegalTexts
from archive.cases.register import CLOSED, OPEN, REFUSED, Case


def check_question(case: Case, question: Question, texts: LegalTexts, zone: str) -> None:
    """Raises CaseError `not_approved`, `case_closed`, or `out_of_scope` with what lies outside."""
    if case.state in (OPEN, REFUSED):
        state = ("is not approved", "ยังไม่ได้รับอนุมัติ") if case.state == OPEN else ("was refused", "ถูกปฏิเสธแล้ว")
        raise CaseError(f"{case.id} {state[0]}", f"{case.id} {state[1]}", code="not_approved")
    if case.state == CLOSED:
        raise CaseError(f"{case.id} is closed", f"{case.id} ปิดแล้ว", code="case_closed")
    ground = texts.grounds[case.ground]
    if not ground.allows_package or case.scope is None:
        english, thai = texts.shown(ground)
        raise CaseError(
            f"the ground of {case.id} allows no package: {english}",
            f"เหตุของ {case.id} ไม่ให้ทำชุดหลักฐาน: {thai}",
            code="out_of_scope",
        )
    outside = case.scope.covers_question(question, zone)
    if outside is not None:
        raise CaseError(f"{case.id}: {outside[0]}", f"{case.id}: {outside[1]}", code="out_of_scope")
