"""Headers of every answer of the portal. No Strict-Transport-Security: it would cover the plain port as well."""

from flask import Flask, Response, request

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
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
"""The address of a static file carries a digest of its content, or the version in its name."""
VERSIONED_SUFFIX = ".woff2"


def install_headers(app: Flask) -> None:
    """Put HEADERS on every answer; pages are never stored by browser or proxy."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers[name] = value
        is_file = request.endpoint == "static" and response.status_code in (200, 304)
        is_named = "v" in request.args or request.path.endswith(VERSIONED_SUFFIX)
        cache = f"public, max-age={STATIC_MAX_AGE_SECONDS}, immutable" if is_file and is_named else "no-store"
        response.headers["Cache-Control"] = cache
        return response
