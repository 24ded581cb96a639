"""`GET /metrics` for a Prometheus server, which cannot sign in: answered to the addresses of the settings alone.

The service writes no audit record of it: it shows how the appliance is, and nothing of what it keeps.
"""

import ipaddress

from flask import Blueprint, Response, current_app, request

from admin_ui.ask_client import LOOK_TIMEOUT_SECONDS
from admin_ui.metrics import CONTENT_TYPE, metrics_text
from admin_ui.pages.desk import settings
from archive.errors import AskError

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
def metrics_page() -> Response:
    if not may_read(request.remote_addr or "", settings().metrics_allow):
        return _plain("This address may not read the metrics; see admin.metrics_allow.\n", 403)
    try:
        numbers = current_app.extensions["ask"].call("metrics", timeout_seconds=LOOK_TIMEOUT_SECONDS)
    except AskError:
        return _plain("The service behind this page does not answer.\n", 503)
    return Response(metrics_text(numbers), 200, content_type=CONTENT_TYPE)


def may_read(address: str, networks: tuple[str, ...]) -> bool:
    """Whether a client's address is in one of the networks. An IPv4 address may come as ::ffff:a.b.c.d."""
    try:
        client = ipaddress.ip_address(address)
    except ValueError:
        return False
    plain = getattr(client, "ipv4_mapped", None) or client
    return any(plain in ipaddress.ip_network(network) for network in networks)


def _plain(text: str, status: int) -> Response:
    return Response(text, status, content_type="text/plain; charset=utf-8")
