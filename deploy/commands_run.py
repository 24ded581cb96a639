"""`phayan init` and `phayan up`."""

import fcntl
import os
import sys
from pathlib import Path
from typing import Any

import click

from archive.durable import make_directory
from archive.errors import ArchiveStateError, AskError
from archive.local_rpc import call_local
from archive.succession import finish_change, read_successor
from deploy.demo.service import refuse_real_log
from deploy.errors import StartError
from deploy.first_start import create_appliance
from deploy.layout import Appliance, open_appliance
from deploy.options import config_option, data_option
from deploy.supervisor import START_ORDER, Supervisor


@click.command("init")
@data_option
@config_option
@click.option("--origin", help="Name of the log, a schema-less URL [default: made from the host's name]")
def init_command(data: str | None, config: str | None, origin: str | None) -> None:
    """Make a data directory with a new log and its keys."""
    appliance = open_appliance(data, config)
    name = create_appliance(appliance, origin)
    click.echo(f"log {name} in {appliance.directory}; its newest head is kept in {appliance.paths.head}")


@click.command("up")
@data_option
@config_option
@click.option("--demo", is_flag=True, help="Run a small invented office in a data directory of its own")
def up_command(data: str | None, config: str | None, demo: bool) -> None:
    """Run the whole appliance in the foreground; make the data directory when it is missing."""
    appliance = open_appliance(data, config, demo=demo)
    if appliance.demo:
        refuse_real_log(appliance)
    finish_change(appliance.paths)
    if not (appliance.paths.log / "origin").exists():
        create_appliance(appliance)
        click.echo(f"new log {appliance.paths.origin()} in {appliance.directory}")
    lock = hold_directory(appliance)
    for name in START_ORDER:
        # Only the signs of life of a former run; the RADIUS server keeps things it has learned beside them.
        (appliance.paths.run / f"{name}.json").unlink(missing_ok=True)
    successor = read_successor(appliance.paths)
    commands = process_commands(appliance)
    if successor is not None:
        # Nothing may be signed after it, so nothing is received either.
        commands = {name: command for name, command in commands.items() if name == "anchor"}
    supervisor = Supervisor(appliance, commands)
    try:
        supervisor.run(lambda: _print_addresses(appliance) if successor is None else _print_moved(appliance, successor))
    finally:
        os.close(lock)


def hold_directory(appliance: Appliance) -> int:
    """A lock on the data directory, held until the descriptor is closed. Raises StartError when another one runs."""
    make_directory(appliance.paths.run)
    descriptor = os.open(appliance.paths.run / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StartError(f"another `phayan up` runs on {appliance.directory}") from error
    return descriptor


def process_commands(appliance: Appliance) -> dict[str, list[str]]:
    """Command line of every process."""
    options = ["--data", str(appliance.directory)]
    if appliance.config_path:
        options += ["--config", str(appliance.config_path)]
    names = [name for name in START_ORDER if name != "demo" or appliance.demo]
    return {name: [sys.executable, "-m", "deploy.process", name, *options] for name in names}


def _print_moved(appliance: Appliance, successor: dict[str, Any]) -> None:
    click.echo(
        f"Log {appliance.paths.origin()} was moved to {successor['origin']}. Nothing is received or sealed here any "
        "more; this box brings its last head to the witnesses and copies. Stop it with Ctrl-C.\n"
        f"บันทึกนี้ย้ายไปที่ {successor['origin']} แล้ว เครื่องนี้ไม่รับและไม่ผนึกข้อมูลอีก ทำหน้าที่ส่งหัวบันทึกสุดท้ายให้พยานและสำเนาเท่านั้น"
    )
    sys.stdout.flush()


def _print_addresses(appliance: Appliance) -> None:
    config = appliance.config
    scheme = "https" if config.admin.tls_certificate else "http"
    lines = [
        "",
        "Phayan is running. Stop it with Ctrl-C.",
        f"  admin pages  {scheme}://{_host(config.admin.address)}:{config.admin.port}/",
        f"  portal       https://{_host(config.portal.address)}:{config.portal.https_port}/",
        f"  syslog       UDP {_ports(config.syslog.udp_ports)}, TCP {_ports(config.syslog.tcp_ports)}, "
        f"TLS {_ports(config.syslog.tls_ports)}, RELP {_ports(config.syslog.relp_ports)}",
        f"  NetFlow      UDP {_ports(config.netflow.ports)}",
        f"  sFlow        UDP {_ports(config.sflow.ports)}",
        *(f"  {own.kind:12} {own.transport.upper()} {own.port}" for own in config.listener),
        f"  RADIUS       UDP {config.radius.authentication_port}, {config.radius.accounting_port}",
    ]
    try:
        secret = call_local(appliance.ask_socket, "setup_secret")["secret"]
    except (AskError, ArchiveStateError):
        secret = None
    if secret:
        lines += [
            "",
            "First time here: make the first administrator with this one-time link",
            f"  {scheme}://{_host(config.admin.address)}:{config.admin.port}/setup?secret={secret}",
        ]
    click.echo("\n".join(lines), err=False)
    sys.stdout.flush()


def _host(address: str) -> str:
    if address in ("0.0.0.0", "::"):  # noqa: S104
        return "localhost"
    return f"[{address}]" if ":" in address else address


def _ports(ports: list[int]) -> str:
    return " ".join(str(port) for port in ports) or "none"


def relative(path: Path) -> str:
    """A path as short as it can be shown."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
