"""Signing in and out, and the first administrator."""

from flask import Blueprint, current_app, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from admin_ui.language import Fault, fault_of, say
from admin_ui.pages.desk import ask
from admin_ui.signing_in import forget_token, keep_token, local_path
from archive.errors import AskError

blueprint = Blueprint("account", __name__)

Page = str | tuple[str, int] | Response


@blueprint.route("/login", methods=["GET", "POST"])
def log_in() -> Page:
    """GET shows the form; POST asks for a token. A right password leads to `next`, a path of these pages."""
    next_path = local_path(request.values.get("next", "/"))
    if request.method == "GET":
        if g.operator is not None:
            return redirect(next_path, 303)
        return _login_form(next_path)
    name = request.form.get("name", "")
    try:
        found = current_app.extensions["ask"].call("log_in", name=name, password=request.form.get("password", ""))
    except AskError as error:
        status = {"wrong_password": 401, "too_many_failures": 429}.get(error.code, 400)
        return _login_form(next_path, name, fault_of(error, g.language), status)
    response = redirect(next_path, 303)
    keep_token(response, found["token"])
    return response


def _login_form(next_path: str, name: str = "", fault: Fault | None = None, status: int = 200) -> Page:
    page = render_template(
        "login.html",
        next_path=next_path,
        name=name,
        fault=fault,
        set_up_needed=bool(g.get("setup", {}).get("needed")),
    )
    return page, status


@blueprint.post("/logout")
def log_out() -> Page:
    """End the token at the service, so that a copy of the cookie is worth nothing."""
    try:
        ask("log_out")
    except AskError as error:
        if error.code != "not_signed_in":
            raise
    response = redirect(url_for("account.log_in"), 303)
    forget_token(response)
    return response


@blueprint.route("/setup", methods=["GET", "POST"])
def set_up() -> Page:
    """The one-time link. The service spends it with the first administrator; afterwards this page says so."""
    needed = g.setup["needed"] if g.get("setup") else False
    secret = request.values.get("secret", "")
    if not needed:
        return render_template("setup.html", dead=say("setup.dead", g.language), fault=None), 410
    if not secret:
        return render_template("setup.html", dead=say("setup.no_secret", g.language), fault=None), 404
    if request.method == "GET":
        return render_template("setup.html", dead=None, fault=None, secret=secret, name="")
    name, password = request.form.get("name", ""), request.form.get("password", "")
    if password != request.form.get("again", ""):
        fault = Fault(say("setup.not_equal", g.language))
        return render_template("setup.html", dead=None, fault=fault, secret=secret, name=name), 400
    service = current_app.extensions["ask"]
    try:
        service.call("set_up", secret=secret, name=name, password=password)
        found = service.call("log_in", name=name, password=password)
    except AskError as error:
        fault = fault_of(error, g.language)
        return render_template("setup.html", dead=None, fault=fault, secret=secret, name=name), 400
    response = redirect(url_for("search.search_page"), 303)
    keep_token(response, found["token"])
    return response
