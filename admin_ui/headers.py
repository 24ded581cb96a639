"""Headers of every answer. No Strict-Transport-Security: it would cover the portal's plain port on the same name."""

from flask import Flask, Response, request

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

STATIC_MAX_AGE_SECONDS = 365 * 86_400
"""Static addresses carry a digest of the file's content, so a new file has a new address."""


def install_headers(app: Flask) -> None:
    """Put HEADERS on every answer; pages are never cached, static files long."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers[name] = value
        if request.endpoint == "static" and response.status_code in (200, 304):
            versioned = "v" in request.args
            age = STATIC_MAX_AGE_SECONDS if versioned else 3600
            response.headers["Cache-Control"] = f"public, max-age={age}{', immutable' if versioned else ''}"
        else:
            response.headers["Cache-Control"] = "no-store"
        return response
