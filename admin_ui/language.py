"""Which language a page speaks, and its words. Thai unless the reader chose English."""

from dataclasses import dataclass
from typing import Any

from flask import Request, Response

from admin_ui.whys import LOSS_TOUCHES, LOSS_TOUCHES_THAI, WHYS
from admin_ui.words import FAULTS, VOCABULARIES, WORDS

LANGUAGES = ("th", "en")
COOKIE = "phayan_language"
COOKIE_SECONDS = 365 * 86_400


def choose_language(request: Request) -> str:
    """`?lang=`, else the cookie, else Thai. The browser's own preference is not asked: officers share machines."""
    for value in (request.args.get("lang"), request.cookies.get(COOKIE)):
        if value in LANGUAGES:
            return value
    return LANGUAGES[0]


def keep_language(request: Request, response: Response) -> None:
    """Remember a choice made by `?lang=`."""
    value = request.args.get("lang")
    if value in LANGUAGES:
        response.set_cookie(
            COOKIE, value, max_age=COOKIE_SECONDS, httponly=True, samesite="Lax", secure=request.is_secure
        )


def say(key: str, language: str, **values: Any) -> str:
    """The words of a key. An unknown key is a mistake of ours and raises KeyError."""
    text = WORDS[key][LANGUAGES.index(language)]
    return text.format(**values) if values else text


def word_of(vocabulary: str, code: Any, language: str) -> str:
    """The word of a service's code; an unknown code is shown as it is."""
    pair = VOCABULARIES[vocabulary].get(str(code))
    return pair[LANGUAGES.index(language)] if pair else str(code or "")


def why_in(text: str, language: str) -> tuple[str, str]:
    """(reason, its language): English where no Thai is known."""
    if language == "th" and text in WHYS:
        return WHYS[text], "th"
    if language == "th" and text.endswith(LOSS_TOUCHES):
        return LOSS_TOUCHES_THAI, "th"
    return text, "en" if text else language


@dataclass(frozen=True)
class Fault:
    """What went wrong in one sentence; `detail` is the service's own English sentence where the page is Thai."""

    sentence: str
    detail: str = ""
    title: str = ""
    code: str = ""


def fault_of(error: Exception, language: str) -> Fault:
    """A service's refusal for a person."""
    code = str(getattr(error, "code", ""))
    english, thai = str(error), str(getattr(error, "message_th", "") or "")
    if code in ("not_running", "internal", "bad_request"):
        # Their own sentences name paths, requests and classes, which help nobody in front of a page.
        english = {
            "not_running": "The service behind this page does not answer yet. Wait a moment and try again.",
            "internal": "The service behind this page failed. Nothing is lost. Try again.",
            "bad_request": "This version of the appliance cannot do this yet.",
        }[code]
        return Fault(FAULTS[code] if language == "th" else english, code=code)
    if language == "en":
        return Fault(english[:1].upper() + english[1:], code=code)
    if thai and thai != english:
        return Fault(thai, code=code)
    if code in FAULTS:
        return Fault(FAULTS[code], detail=english, code=code)
    return Fault(say("fault.failed", "th"), detail=english, code=code)
