"""`phayan keys`: the log's signing keys, their public parts, a new log with new keys."""

import json
from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from archive.anchor.outside_heads import answer_wanted, newest_found
from archive.anchor.service import head_sources
from archive.clock import SystemClock
from archive.durable import make_directory, replace_file
from archive.index.checkpoint import read_log_key
from archive.package.log_files import make_policy
from archive.policy import format_policy
from archive.sealer import Sealer
from archive.sealing.first_head import FirstHead
from archive.sealing.machine import remember_machine
from archive.succession import KEY_CHANGED, REASONS, begin_new_log, former_folders, read_origin
from deploy.anchor_trust import trust_of
from deploy.config_keys import key_source
from deploy.errors import DeployError
from deploy.layout import Appliance, open_appliance
from deploy.options import config_option, data_option, format_option
from deploy.processes.anchor import anchor_settings

MAX_NUMBER_DIGITS = 4
"""A longer number at the end of a name is part of the name, as in a random one."""


@click.group("keys")
def keys_command() -> None:
    """Signing keys of the log: show, export, change, retire, trust-machine."""


@keys_command.command("show")
@format_option("table", "json")
@data_option
@config_option
def show_command(output: str, data: str | None, config: str | None) -> None:
    """The log's verifier key and certificate, and those of earlier logs."""
    appliance = open_appliance(data, config)
    logs = [_describe(appliance.paths.log, appliance.config.keys.source)]
    for folder in reversed(former_folders(appliance.paths)):
        logs.append(_describe(folder / "log", "kept" if any((folder / "keys").glob("*.pem")) else "retired"))
    if output == "json":
        click.echo(json.dumps({"format": 1, "logs": logs}, ensure_ascii=False))
        return
    for values in logs:
        for name, value in values.items():
            click.echo(f"{name:24} {value}")
        click.echo("")


@keys_command.command("export")
@click.argument("directory", type=click.Path(file_okay=False))
@data_option
@config_option
def export_command(directory: str, data: str | None, config: str | None) -> None:
    """Write what an auditor needs to check this log into DIRECTORY: keys, certificate, policy. No private key."""
    appliance = open_appliance(data, config)
    target = Path(directory)
    make_directory(target)
    trust = trust_of(appliance)
    files = {
        "log.vkey": (appliance.paths.log / "key.vkey").read_bytes(),
        "package.crt": (appliance.paths.log / "package.crt").read_bytes(),
        "policy.txt": format_policy(make_policy(read_log_key(appliance.paths), trust_of(appliance))),
    }
    for authority in trust.authorities:
        files[f"{authority.name}.pem"] = b"".join((*authority.roots, authority.issuer or b"", authority.signer or b""))
    for name, content in files.items():
        replace_file(target / name, content)
    click.echo(f"{', '.join(files)} in {target}")


@keys_command.command("change")
@click.option("--origin", help="Name of the new log [default: the old one's with the next number]")
@click.option("--why", type=click.Choice(REASONS), default=KEY_CHANGED, show_default=True, help="Why the old log ends")
@click.option(
    "--checkpoint",
    type=click.Path(exists=True, dir_okay=False),
    help="Newest checkpoint of the old log that is known outside [default: what witnesses and copies answered last]",
)
@click.option("--yes", is_flag=True, help="Do not ask")
@data_option
@config_option
def change_command(
    origin: str | None, why: str, checkpoint: str | None, yes: bool, data: str | None, config: str | None
) -> None:
    """End this log and begin a new one with new keys. Its first leaf names the old one. Stop the appliance before."""
    appliance = open_appliance(data, config)
    paths, source = appliance.paths, key_source(appliance.config.keys, appliance.paths)
    old = paths.origin()
    if not yes:
        click.confirm(f"End log {old} for ever and begin a new one?", abort=True)
    if why == KEY_CHANGED:
        refuse_older_state(appliance)
        # What was received is sealed by the key that was in force then.
        sealer = Sealer(paths, source.load(old), head_interval_seconds=0)
        try:
            sealer.run_once(full_look=True)
        finally:
            sealer.close()
    name = origin or following_origin(old)
    known = Path(checkpoint).read_bytes() if checkpoint else None
    if known is None and why != KEY_CHANGED:
        known = newest_found(paths, read_log_key(paths))
    begin_new_log(paths, source, name, why, SystemClock(), known=known)
    remember_machine(paths)
    click.echo(f"log {name} continues {old}, which is kept in {former_folders(paths)[-1]}")
    click.echo("give its verifier key to your witnesses and auditors: `phayan keys export DIRECTORY`")


@keys_command.command("retire")
@click.option("--yes", is_flag=True, help="Do not ask")
@data_option
@config_option
def retire_command(yes: bool, data: str | None, config: str | None) -> None:
    """Destroy the private keys of logs that have ended. Their records stay verifiable."""
    appliance = open_appliance(data, config)
    folders = former_folders(appliance.paths)
    if not folders:
        raise DeployError("no log of this archive has ended; `phayan keys change` ends one")
    if not yes:
        click.confirm(f"Destroy the private keys of {len(folders)} ended logs for ever?", abort=True)
    for folder in folders:
        source = key_source(appliance.config.keys, appliance.paths)
        source.destroy(read_origin(folder), folder / "keys")
        click.echo(f"{read_origin(folder)}: retired")


@keys_command.command("trust-machine")
@data_option
@config_option
def trust_machine_command(data: str | None, config: str | None) -> None:
    """Say that this machine and disk rightly continue the log, when no witness can be asked. Never after a restore."""
    appliance = open_appliance(data, config)
    appliance.paths.origin()
    remember_machine(appliance.paths)
    click.echo("this machine and disk are known from here on; the sealer signs at its next try, within a minute")


def refuse_older_state(appliance: Appliance) -> None:
    """The old key signs once more only if the heads kept outside allow it, as at any start. Raises DeployError."""
    sources = head_sources(anchor_settings(appliance))
    gate = FirstHead(appliance.paths, read_log_key(appliance.paths), SystemClock(), has_sources=bool(sources))
    if gate.is_allowed():
        return
    answer_wanted(appliance.paths, sources)
    if not gate.is_allowed():
        raise DeployError(f"the old key may not sign any more: {gate.problem}")


def following_origin(origin: str) -> str:
    """`name-2` after `name`, `name-3` after that."""
    name, dash, number = origin.rpartition("-")
    if dash and number.isascii() and number.isdigit() and len(number) < MAX_NUMBER_DIGITS:
        return f"{name}-{int(number) + 1}"
    return f"{origin}-2"


def _describe(log: Path, private_keys: str) -> dict[str, Any]:
    certificate = x509.load_pem_x509_certificate((log / "package.crt").read_bytes())
    return {
        "origin": (log / "origin").read_text(encoding="utf-8").strip(),
        "verifier_key": (log / "key.vkey").read_text(encoding="utf-8").strip(),
        "certificate_sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "certificate_until": certificate.not_valid_after_utc.date().isoformat(),
        "private_keys": private_keys,
    }
