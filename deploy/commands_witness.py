"""`phayan witness`: being a witness for the logs of others. Works without an appliance in the data directory."""

import ipaddress
import json
import threading
from pathlib import Path

import click

from archive.clock import SystemClock
from archive.errors import ArchiveFormatError, ArchiveStateError
from archive.note import parse_verifier_key
from archive.origin import default_paths
from archive.witness.app import make_witness_app
from archive.witness.key import WitnessSigner, load_key, make_key
from archive.witness.state import WitnessState
from authgw.portal.web_server import WebProcess, bind_listener, serve
from deploy.errors import DeployError
from deploy.layout import find_data_directory
from deploy.options import data_option, format_option

DEFAULT_PORT = 8095


def witness_directory(data: str | None) -> Path:
    """Where the witness of a data directory keeps its key and the heads it cosigned."""
    return find_data_directory(data) / "witness"


@click.group("witness")
def witness_command() -> None:
    """Be a witness for other logs: key, add-log, remove-log, list, serve."""


@witness_command.command("key")
@click.option("--name", help="Name of this witness, kept for ever [default: the log's origin with /witness]")
@data_option
def key_command(name: str | None, data: str | None) -> None:
    """Print this witness's verifier key; make it first if there is none."""
    directory = witness_directory(data)
    signer = load_key(directory) or make_key(directory, name or _default_name(data))
    if name and signer.name != name:
        raise DeployError(f"this witness is called {signer.name} already; a key keeps its name")
    click.echo(signer.witness_key.text())


def _default_name(data: str | None) -> str:
    try:
        return f"{default_paths(find_data_directory(data)).origin()}/witness"
    except ArchiveStateError as error:
        raise DeployError(
            "a witness without a log of its own needs a name: --name, for example --name witness.district.example"
        ) from error


@witness_command.command("add-log")
@click.argument("vkey")
@click.option("--name", default="", help="Whose log it is, for people")
@data_option
def add_log_command(vkey: str, name: str, data: str | None) -> None:
    """Cosign for the log with this verifier key, the text in its file log/key.vkey."""
    try:
        key = parse_verifier_key(vkey)
    except ArchiveFormatError as error:
        raise DeployError(
            f"{vkey!r} is not the verifier key of a log ({error}); valid is the line in the log's file log/key.vkey"
        ) from error
    WitnessState(witness_directory(data)).add(key, name)
    click.echo(f"log {key.name} added")


@witness_command.command("remove-log")
@click.argument("origin")
@data_option
def remove_log_command(origin: str, data: str | None) -> None:
    """Do not cosign for this log any more. Its newest head is kept, for the day it is added again."""
    WitnessState(witness_directory(data)).remove(origin)
    click.echo(f"log {origin} removed")


@witness_command.command("list")
@format_option("table", "json")
@data_option
def list_command(output: str, data: str | None) -> None:
    """The logs that this witness cosigns for, and the size of each one's newest cosigned head."""
    logs = WitnessState(witness_directory(data)).logs()
    if output == "json":
        rows = [
            {"origin": log.key.name, "vkey": log.key.text(), "name": log.name, "tree_size": log.head().size}
            for log in logs
        ]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for log in logs:
        click.echo(f"{log.head().size:>12} {log.key.name}  {log.name}".rstrip())


@witness_command.command("serve")
@click.option("--address", default="127.0.0.1", show_default=True, help="IP address to listen on")
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True)
@click.option("--tls-certificate", type=click.Path(exists=True, dir_okay=False), help="PEM file; needed off loopback")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False), help="PEM file of its key")
@data_option
def serve_command(address: str, port: int, tls_certificate: str | None, tls_key: str | None, data: str | None) -> None:
    """Answer other logs until stopped. Logs that are added meanwhile are served at once."""
    _check_address(address, tls_certificate, tls_key)
    directory = witness_directory(data)
    signer = load_key(directory)
    if signer is None:
        raise DeployError("this witness has no key; `phayan witness key` makes one")
    state = WitnessState(directory)
    listener = bind_listener(address, port)
    where = f"[{address}]" if ":" in address else address
    scheme = "https" if tls_certificate else "http"
    click.echo(f"witness {signer.name} for {len(state.logs())} logs on {scheme}://{where}:{port}")
    process = WebProcess(
        "phayan-witness",
        listener,
        lambda: (_make_app(state, signer), lambda: None),
        Path(tls_certificate) if tls_certificate else None,
        Path(tls_key) if tls_key else None,
    )
    serve(process, threading.Event())


def _make_app(state: WitnessState, signer: WitnessSigner):  # type: ignore[no-untyped-def]
    return make_witness_app(state, signer, SystemClock())


def _check_address(address: str, tls_certificate: str | None, tls_key: str | None) -> None:
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError as error:
        raise DeployError(f"--address {address!r} is not an IP address") from error
    if (tls_certificate is None) != (tls_key is None):
        raise DeployError("give both --tls-certificate and --tls-key, or neither")
    if tls_certificate is None and not loopback:
        raise DeployError(
            f"a witness on {address} needs TLS: give --tls-certificate and --tls-key, or leave --address at 127.0.0.1"
        )
