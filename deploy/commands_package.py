"""`phayan package`: make an evidence package of a `who` answer, list them, verify one."""

import base64
import sys
import time
from pathlib import Path
from typing import Any

import click

from archive.durable import replace_file
from archive.errors import AskError
from archive.package.encrypt import encrypt_package, read_receiver
from archive.package.verify_package import main as verify_main
from deploy.errors import DeployError
from deploy.options import ask, data_option, question_options

POLL_SECONDS = 0.5
ENVELOPE_SUFFIX = ".p7m"


@click.group("package")
def package_command() -> None:
    """Evidence packages: create, list, verify."""


@package_command.command("create")
@question_options
@click.option("--case", required=True, help="Case that allows it, e.g. case-2026-0001")
@click.option("--reason", required=True, help="Why, e.g. the number of the letter")
@click.option("--title", default="", help="What it is about")
@click.option("--out", type=click.Path(), help="File to write [default: the package's own name here]")
@click.option(
    "--encrypt-to",
    type=click.Path(exists=True, dir_okay=False),
    help="Certificate (PEM, RSA) of the receiver: the file is then a CMS envelope, `openssl cms -decrypt` opens it",
)
@data_option
def create_command(
    question: dict[str, Any],
    case: str,
    reason: str,
    title: str,
    out: str | None,
    encrypt_to: str | None,
    data: str | None,
) -> None:
    """Make a package of the answer to a `who` question and write it to a file."""
    receiver = read_receiver(Path(encrypt_to).read_bytes()) if encrypt_to else None
    identifier = ask(data, "package_create", case=case, reason=reason, title=title, **question)["id"]
    job = _wait(data, identifier)
    name = Path(out) if out else Path(f"phayan-{identifier}.zip" + (ENVELOPE_SUFFIX if receiver else ""))
    stored = _fetch(data, identifier)
    # People's records are in it: for the one who made it alone.
    replace_file(name, encrypt_package(stored, receiver) if receiver else stored, mode=0o600)
    click.echo(f"{name}: package of {job['size_bytes']} bytes, SHA-256 {job['sha256']}")
    if job.get("time_stamp_problem"):
        click.echo(f"without a time stamp: {job['time_stamp_problem']}", err=True)


def _wait(data: str | None, identifier: str) -> dict[str, Any]:
    """The finished job; progress on stderr. Raises DeployError when it failed."""
    with click.progressbar(length=100, label=f"package {identifier}", file=sys.stderr) as bar:
        shown = 0
        while True:
            found = [job for job in ask(data, "package_list")["packages"] if job["id"] == identifier]
            if not found:
                raise AskError(f"package {identifier} is gone; the appliance was restarted", code="no_such_package")
            percent = int(found[0]["progress"] * 100)
            bar.update(percent - shown)
            shown = percent
            if found[0]["state"] in ("ready", "failed"):
                break
            time.sleep(POLL_SECONDS)
    if found[0]["state"] == "failed":
        raise DeployError(f"the package was not made: {found[0]['message']}")
    return found[0]


def _fetch(data: str | None, identifier: str) -> bytes:
    parts = bytearray()
    while True:
        piece = ask(data, "package_fetch", id=identifier, offset=len(parts))
        parts += base64.b64decode(piece["data_base64"])
        if len(parts) >= piece["total_bytes"]:
            return bytes(parts)


@package_command.command("list")
@data_option
def list_command(data: str | None) -> None:
    """Packages made here."""
    for job in ask(data, "package_list")["packages"]:
        click.echo(f"{job['id']} {job['created']} {job['state']:8} {job['made_by']} {job['title']} {job['message']}")


@package_command.command("verify")
@click.argument("path", type=click.Path())
@click.option("--ca", metavar="FILE", help="Certificate you trust (PEM); a package of any other is refused")
@click.option(
    "--at", metavar="TIME", help="Moment as of which the certificate counts [default: the time stamp's, or now]"
)
@click.option("--policy", metavar="FILE", help="Policy of your own (C2SP tlog-policy) that the checkpoint has to meet")
@click.option("--log-key", metavar="FILE", help="Verifier key you know the log by; any other is refused")
def verify_command(path: str, **known: str | None) -> None:
    """Verify a package, a folder or a zip file, without a data directory. Exit 0 verified, 1 not, 2 could not run."""
    options = [part for name, value in known.items() if value for part in (f"--{name.replace('_', '-')}", value)]
    sys.exit(verify_main([path, *options]))
