"""`phayan move`: to another box. The old log names its successor in its last leaf, the new one begins with that."""

import datetime
import os
from pathlib import Path

import click

from archive.clock import SystemClock
from archive.durable import make_directory, replace_file
from archive.errors import ArchiveError
from archive.keys import GivenKeys, create_keys, read_checkpoint_key
from archive.note import VerifierKey, is_key_name, parse_verifier_key
from archive.origin import ArchivePaths
from archive.sealer import Sealer
from archive.sealing.naming import SuccessorSource
from archive.sealing.record_roots import RecordRoots
from archive.succession import MOVED, read_successor
from deploy.beginning_again import begin_again, check_empty
from deploy.commands_keys import refuse_older_state
from deploy.commands_restore import bring, reach, read_identity, source_options, tell_state
from deploy.commands_run import hold_directory
from deploy.config_keys import key_source
from deploy.errors import DeployError
from deploy.first_start import make_origin
from deploy.layout import Appliance, open_appliance
from deploy.options import config_option, data_option

PREPARED = "prepared"


@click.group("move")
def move_command() -> None:
    """Move to another box: prepare (there), name-successor (here), accept (there)."""


@move_command.command("prepare")
@click.option("--origin", help="Name of the new log, a schema-less URL [default: made from the host's name]")
@data_option
@config_option
def prepare_command(origin: str | None, data: str | None, config: str | None) -> None:
    """On the new box: make the key of the log to come, and print its verifier key."""
    appliance = open_appliance(data, config)
    check_empty(appliance)
    if appliance.config.keys.source == "pkcs11":
        raise DeployError(
            "a key in a token cannot be made before its log; move with keys.source file, then `keys change`"
        )
    folder = appliance.directory / PREPARED
    if folder.exists():
        raise DeployError(f"{folder} is there already; its verifier key is {_prepared(appliance)[1]}")
    name = make_origin(origin, demo=False)
    if not is_key_name(name):
        raise DeployError(f"origin {name!r} may not hold white space or a plus sign")
    make_directory(appliance.directory, mode=0o750)
    key = create_keys(folder, name, _now()).verifier_key(name).text()
    replace_file(folder / "origin", f"{name}\n".encode())
    click.echo(key)
    click.echo("Type on the old, stopped box: phayan move name-successor with this key", err=True)


@move_command.command("name-successor")
@click.argument("vkey")
@click.option("--yes", is_flag=True, help="Do not ask")
@data_option
@config_option
def name_successor_command(vkey: str, yes: bool, data: str | None, config: str | None) -> None:
    """On the old, stopped box: end its log with a leaf that names the new one. Nothing is signed here afterwards."""
    appliance = open_appliance(data, config)
    paths = appliance.paths
    lock = hold_directory(appliance)
    origin = paths.origin()
    if (named := read_successor(paths)) is not None:
        raise DeployError(f"log {origin} has ended already: it was moved to {named['origin']}")
    try:
        key = parse_verifier_key(vkey.strip())
    except ArchiveError as error:
        raise DeployError(f"valid is the verifier key that `phayan move prepare` printed ({error})") from None
    if key.name == origin:
        raise DeployError("a log cannot be its own successor; its new name has to be another one")
    refuse_older_state(appliance)
    if not yes:
        click.confirm(f"End log {origin} for ever and name {key.name} as its successor?", abort=True)
    _end_log(appliance, key, lock)
    click.echo(f"log {origin} has ended with the key of {key.name}. `phayan copies run` brings it to the copies, and")
    click.echo("`phayan up` its last head to the witnesses; nothing is received or sealed here any more")
    click.echo(f"บันทึก {origin} สิ้นสุดแล้ว เครื่องนี้จะไม่รับและไม่ผนึกข้อมูลอีก ห้ามใช้เครื่องนี้เก็บข้อมูลจราจรต่อ")


@move_command.command("accept")
@source_options
@data_option
@config_option
def accept_command(
    source: str,
    recovery_key: str | None,
    key_file: str,
    host_key: str,
    access_key_file: str,
    endpoint: str,
    region: str,
    yes: bool,
    accept_defects: str,
    data: str | None,
    config: str | None,
) -> None:
    """On the new box: take over the archive from the copy FROM, whose last leaf has to name the prepared key."""
    appliance = open_appliance(data, config)
    check_empty(appliance)
    origin, vkey = _prepared(appliance)
    target = reach(appliance, source, key_file, host_key, access_key_file, endpoint, region)
    identity = read_identity(recovery_key)
    copied = bring(appliance, target, identity, accept_defects, yes)
    named = read_successor_of(copied.folder)
    if named != vkey:
        what = (
            f"another one: {named}"
            if named
            else "no successor; say `phayan move name-successor` on the old box, then copy"
        )
        raise DeployError(f"the last leaf of {copied.origin} has to name {vkey}, and names {what}")
    checkpoint = read_checkpoint_key(appliance.directory / PREPARED / "checkpoint.pem")
    keys = key_source(appliance.config.keys, appliance.paths)
    keys = type(keys)(keys.directory, keys.is_credential, None, GivenKeys(checkpoint))
    names = begin_again(appliance, copied, keys, origin, MOVED, identity=identity, accepted=accept_defects)
    keys.destroy(origin, appliance.directory / PREPARED)
    tell_state(names, identity)
    click.echo(f"log {origin} continues {copied.origin}, which is kept in {appliance.directory / 'former'}")
    click.echo(f"Give the verifier key to every witness and auditor: {vkey}")
    click.echo(f"มอบกุญแจตรวจสอบใหม่ให้พยานและผู้ตรวจสอบทุกราย: {vkey}")


def _end_log(appliance: Appliance, key: VerifierKey, lock: int) -> None:
    """Everything received is sealed, then the leaf, then the head that covers both."""
    clock = SystemClock()
    keys = key_source(appliance.config.keys, appliance.paths).load(appliance.paths.origin())
    sealers: list[Sealer] = []
    # Every unit report there is becomes a root, for there is no later leaf that could.
    roots = RecordRoots(appliance.paths, clock, lambda: sealers[0].tree_size)
    roots.force()
    sources = [roots, SuccessorSource(key, clock)]
    sealer = Sealer(appliance.paths, keys, head_interval_seconds=0, sources=sources)
    sealers.append(sealer)
    try:
        sealer.run_once(full_look=True)
    finally:
        sealer.close()
        os.close(lock)


def _prepared(appliance: Appliance) -> tuple[str, str]:
    """Origin and verifier key that `prepare` made. Raises DeployError."""
    folder = appliance.directory / PREPARED
    try:
        origin = (folder / "origin").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise DeployError(f"nothing is prepared in {appliance.directory}; say `phayan move prepare` first") from None
    key = read_checkpoint_key(folder / "checkpoint.pem")
    return origin, VerifierKey(origin, key.public_key().public_bytes_raw()).text()


def read_successor_of(folder: Path) -> str | None:
    """The verifier key that the last leaf of a fetched copy names."""
    fields = read_successor(ArchivePaths(folder, folder / "head"))
    return None if fields is None else str(fields["vkey"])


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
