"""`phayan recovery-key`: the key that opens the state in copies. The box keeps its public part alone."""

import sys
import tempfile
from pathlib import Path

import click
import segno

from archive.copies.others import bundle_names
from archive.copies.state_bundle import decrypt_bundle, make_identity, parse_identity
from archive.copies.target import CopyError
from archive.durable import make_directory, replace_file
from archive.errors import ArchiveError
from deploy.config_keys import key_source
from deploy.copying import make_target
from deploy.errors import DeployError
from deploy.layout import Appliance, open_appliance
from deploy.options import config_option, data_option
from deploy.state_files import RECIPIENT_FILE, find_recipient, wrap_package_key


@click.group("recovery-key")
def recovery_key_command() -> None:
    """The key that opens accounts and settings in copies: create, check."""


@recovery_key_command.command("create")
@click.option("--yes", is_flag=True, help="Replace a key that is there without asking")
@data_option
@config_option
def create_command(yes: bool, data: str | None, config: str | None) -> None:
    """Make a recovery key and print it once, as text and as a QR code. It is kept nowhere here."""
    appliance = open_appliance(data, config)
    if appliance.config.recovery.recipient:
        raise DeployError("recovery.recipient is in the settings; remove it there before another key is made")
    if find_recipient(appliance) is not None and not yes:
        click.confirm(
            "There is a recovery key already. Older copies of the state need that one. Replace it?", abort=True
        )
    secret, recipient = make_identity()
    make_directory(appliance.directory)
    replace_file(appliance.directory / RECIPIENT_FILE, (recipient + "\n").encode())
    _wrap(appliance)
    click.echo("Recovery key. Print it, or write it down, and lock it away from this box. It is shown this once.")
    click.echo("กุญแจกู้คืน พิมพ์หรือจดไว้แล้วเก็บในที่ปลอดภัยแยกจากเครื่องนี้ ระบบแสดงเพียงครั้งเดียว\n")
    click.echo(f"  {secret}\n")
    segno.make_qr(secret).terminal(out=sys.stdout, compact=True)
    click.echo(f"\npublic part, kept in {appliance.directory / RECIPIENT_FILE}: {recipient}")


@recovery_key_command.command("check")
@click.option("--key-stdin", is_flag=True, help="Read the key from standard input")
@data_option
@config_option
def check_command(key_stdin: bool, data: str | None, config: str | None) -> None:
    """Type the key back: is it the one of this box, and does it open the newest bundle of each copy?"""
    appliance = open_appliance(data, config)
    text = sys.stdin.readline() if key_stdin else click.prompt("Recovery key", hide_input=True)
    identity = parse_identity(text)
    if str(identity.to_public()) != find_recipient(appliance):
        raise DeployError("this is a recovery key, but not the one that this box encrypts to")
    click.echo("this is the key that this box encrypts to")
    for copy in appliance.config.copies:
        target = make_target(appliance, copy)
        try:
            names = bundle_names(target)
            if names:
                with tempfile.TemporaryDirectory(dir=appliance.directory) as temporary:
                    encrypted = Path(temporary) / "state.tar.age"
                    encrypted.write_bytes(b"".join(target.read(names[-1])))
                    decrypt_bundle(encrypted, Path(temporary) / "state.tar", str(identity))
                click.echo(f"{copy.name}: {names[-1]} opens")
            else:
                click.echo(f"{copy.name}: no state there yet")
        except CopyError as error:
            if error.code == "recovery_key":
                raise
            click.echo(f"{copy.name}: not looked at: {error}")
        finally:
            target.close()


def _wrap(appliance: Appliance) -> None:
    """The sealer does it again at its start, where the keys cannot be read here."""
    try:
        wrap_package_key(appliance, key_source(appliance.config.keys, appliance.paths).load(appliance.paths.origin()))
    except (ArchiveError, OSError) as error:
        click.echo(f"the package key is taken along from the sealer's next start on: {error}", err=True)
