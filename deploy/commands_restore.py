"""`phayan restore`: an appliance from a copy."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import click

from archive.copies.state_bundle import parse_identity
from archive.copies.target import Target
from archive.succession import RESTORED
from deploy.beginning_again import Copied, begin_again, check_empty, fetch_and_verify, open_state
from deploy.commands_copies import progress_bar
from deploy.commands_keys import following_origin
from deploy.config_copies import CopySettings, open_target
from deploy.config_keys import key_source
from deploy.copying import find_copy, make_target
from deploy.errors import DeployError
from deploy.layout import Appliance, open_appliance
from deploy.options import config_option, data_option
from deploy.verify_trust import verifier_trust

_file = click.Path(exists=True, dir_okay=False)


def source_options(command: Callable[..., None]) -> Callable[..., None]:
    """FROM, and what is needed to reach it where the settings do not say it."""
    for decorate in (
        click.option("--accept-defects", metavar="REASON", default="", help="Go on although the copy has defects"),
        click.option("--yes", is_flag=True, help="Do not ask"),
        click.option("--region", default="", help="s3: region"),
        click.option("--endpoint", default="", help="s3: address of the service"),
        click.option("--access-key-file", default="", type=click.Path(), help="s3: file with access key and secret"),
        click.option("--host-key", default="", help="sftp: the server's key, `type base64`"),
        click.option("--key-file", default="", type=click.Path(), help="sftp: file with the private key"),
        click.option("--recovery-key", type=_file, help="File with the recovery key; without it: records only"),
        click.argument("source", metavar="FROM"),
    ):
        command = decorate(command)
    return command


@click.command("restore")
@source_options
@click.option("--origin", help="Name of the new log [default: the old one's with the next number]")
@click.option("--checkpoint", type=_file, help="Newest checkpoint of the old log that is known outside")
@data_option
@config_option
def restore_command(
    source: str,
    recovery_key: str | None,
    key_file: str,
    host_key: str,
    access_key_file: str,
    endpoint: str,
    region: str,
    yes: bool,
    accept_defects: str,
    origin: str | None,
    checkpoint: str | None,
    data: str | None,
    config: str | None,
) -> None:
    """Make an appliance in an empty DIR from the copy FROM (an address, or a name of the settings)."""
    appliance = open_appliance(data, config)
    check_empty(appliance)
    target = reach(appliance, source, key_file, host_key, access_key_file, endpoint, region)
    identity = read_identity(recovery_key)
    copied = bring(appliance, target, identity, accept_defects, yes)
    name = origin or following_origin(copied.origin)
    names = begin_again(
        appliance,
        copied,
        key_source(appliance.config.keys, appliance.paths),
        name,
        RESTORED,
        identity=identity,
        known=Path(checkpoint).read_bytes() if checkpoint else None,
        accepted=accept_defects,
    )
    tell_state(names, identity)
    click.echo(f"log {name} continues {copied.origin}, which is kept in {appliance.directory / 'former'}")
    tell_what_is_next(appliance, copied)


def reach(
    appliance: Appliance, source: str, key_file: str, host_key: str, access_key_file: str, endpoint: str, region: str
) -> Target:
    """The place of a copy: a name in the settings, or an address. Raises DeployError, CopyError."""
    if source in {copy.name for copy in appliance.config.copies}:
        return make_target(appliance, find_copy(appliance, source))
    values = {
        "name": "from",
        "url": str(Path(source).resolve()) if "://" not in source else source,
        "key_file": key_file,
        "host_key": host_key,
        "access_key_file": access_key_file,
        "endpoint": endpoint,
        "region": region,
    }
    try:
        copy = CopySettings.model_validate(values)
    except ValueError as error:
        sentence = str(error).splitlines()[2].strip() if len(str(error).splitlines()) > 2 else str(error)
        raise DeployError(f"{source}: {sentence.removeprefix('Value error, ').split(' [type=')[0]}") from None
    return open_target(copy, Path.cwd())


def read_identity(recovery_key: str | None) -> str | None:
    """From a file as it was printed, or one of `age-keygen` with its comments. Raises CopyError."""
    if recovery_key is None:
        return None
    lines = Path(recovery_key).read_text(encoding="utf-8", errors="replace").splitlines()
    text = " ".join(line for line in lines if not line.startswith("#"))
    return str(parse_identity(text))


def bring(appliance: Appliance, target: Target, identity: str | None, accepted: str, yes: bool) -> Copied:
    """Fetch and verify; nothing is laid out yet. Raises DeployError for defects that nobody accepted."""
    with ExitStack() as bars:
        copied = fetch_and_verify(
            appliance, target, verifier_trust(appliance), lambda total: bars.enter_context(progress_bar(total))
        )
    click.echo(copied.report.to_text(), nl=False)
    if copied.report.exit_code and not accepted:
        raise DeployError(
            f"the copy has {copied.report.defect_count} defects, shown above; nothing was laid out. To go on all the "
            "same, give the reason with --accept-defects; it is sealed"
        )
    if identity is not None:
        open_state(copied, target, identity)
    target.close()
    if not yes:
        click.confirm(f"Begin a new log in {appliance.directory} that continues {copied.origin}?", abort=True)
    return copied


def tell_state(names: list[str], identity: str | None) -> None:
    if names:
        click.echo(f"state restored: {', '.join(sorted({name.split('/')[0] for name in names}))}")
    elif identity is None:
        click.echo("no recovery key was given: records only, no accounts, operators, portal or settings")
        click.echo("ไม่ได้ให้กุญแจกู้คืน: กู้คืนเฉพาะข้อมูลจราจร ไม่มีบัญชีผู้ใช้ ผู้ดูแล หน้าพอร์ทัล และการตั้งค่า")
    else:
        click.echo("the copy holds no state: records only / สำเนาไม่มีข้อมูลบัญชีและการตั้งค่า กู้คืนเฉพาะข้อมูลจราจร")


def tell_what_is_next(appliance: Appliance, copied: Copied) -> None:
    """What only the director can do."""
    key = (appliance.paths.log / "key.vkey").read_text(encoding="utf-8").strip()
    click.echo(
        "\nThe director has to do two things:\n"
        f"1. Give the new verifier key to every witness and auditor: {key}\n"
        f"2. See that the old box of log {copied.origin} is never started again; keep its disk as it is.\n"
        "\nสิ่งที่ผู้อำนวยการต้องทำต่อ:\n"
        f"1. มอบกุญแจตรวจสอบใหม่ให้พยานและผู้ตรวจสอบทุกราย: {key}\n"
        f"2. ห้ามเปิดเครื่องเดิมของบันทึก {copied.origin} อีก หากพบเครื่องเดิมให้เก็บดิสก์ไว้ตามสภาพ\n"
        "Then `phayan up`; the index is made again from the records. / จากนั้นสั่ง `phayan up` ระบบจะสร้างดัชนีค้นหาใหม่เอง"
    )
