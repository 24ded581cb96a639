"""The process `demo`: makes the invented office's accounts, feeds the appliance, and prints questions that it has asked
itself before."""

import logging
import threading
import time
from typing import Any

from archive.clock import SystemClock
from archive.errors import AskError
from archive.local_rpc import call_local
from archive.run_report import write_run_report
from authgw.accounts.client import AccountsClient
from authgw.radius.clients import RadiusClient
from deploy.demo.day import OfficeDay
from deploy.demo.office import Person, make_people
from deploy.demo.questions import Example
from deploy.demo.secrets_file import DemoSecrets, load_demo_secrets
from deploy.demo.senders import Ports, Sender, local_address
from deploy.errors import StartError
from deploy.layout import Appliance

MARKER = "demo"
ORIGIN_PREFIX = "demo."
IDENTIFIED = "demo"
"""How and by whom the invented people were identified: nobody may take their records for real ones."""
REPORT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 0.2
ASK_SECONDS = 3.0
ASK_FOR_SECONDS = 180.0
"""A sealed and indexed answer takes two turns of the sealer; after this something is wrong, and it is said."""
START_SECONDS = 60.0

log = logging.getLogger(__name__)


def refuse_real_log(appliance: Appliance) -> None:
    """Raises StartError unless the directory is a demo's own: marked, and with a log that names itself a demo."""
    if not appliance.paths.log.exists():
        return
    marked = (appliance.directory / MARKER).exists()
    if not marked or not appliance.paths.origin().startswith(ORIGIN_PREFIX):
        raise StartError(f"{appliance.directory} holds real data; a demo never mixes with it")


def demo_radius_client(appliance: Appliance) -> RadiusClient:
    """The invented access points, known to this demo's RADIUS server only."""
    secret = load_demo_secrets(appliance.directory).radius_secret
    target = local_address(appliance.config.radius.address)
    return RadiusClient(f"{target}/{128 if ':' in target else 32}", secret.encode(), "demo", "yes")


def run_demo(appliance: Appliance, stop: threading.Event) -> None:
    """Feed until `stop`. Raises StartError in a directory that is no demo, or without a port to send to."""
    refuse_real_log(appliance)
    config = appliance.config
    if not config.syslog.udp_ports or not config.netflow.ports:
        raise StartError("a demo needs a syslog UDP port and a NetFlow port; set syslog.udp_ports and netflow.ports")
    secrets = load_demo_secrets(appliance.directory)
    people = make_people()
    if not _wait_for_receivers(appliance, stop) or not _make_accounts(appliance, people, secrets, stop):
        return
    sender = Sender(
        Ports(
            (local_address(config.syslog.address), config.syslog.udp_ports[0]),
            (local_address(config.netflow.address), config.netflow.ports[0]),
            (local_address(config.radius.address), config.radius.authentication_port),
            (local_address(config.radius.address), config.radius.accounting_port),
        ),
        secrets.radius_secret.encode(),
    )
    day = OfficeDay(people, sender, secrets.password.encode(), SystemClock())
    questions = _Questions(appliance, day, secrets, people, stop)
    questions.start()
    day.begin()
    next_report = 0.0
    try:
        while not stop.is_set():
            wait_seconds = day.run_due()
            if time.monotonic() >= next_report:
                next_report = time.monotonic() + REPORT_SECONDS
                write_run_report(appliance.paths.run, "demo", questions.report() | day.counters | sender.counters)
            stop.wait(min(wait_seconds, LONGEST_WAIT_SECONDS))
    finally:
        day.end()
        sender.close()
        questions.join()


def _wait_for_receivers(appliance: Appliance, stop: threading.Event) -> bool:
    run = appliance.paths.run
    deadline = time.monotonic() + START_SECONDS
    while not all((run / f"{name}.json").exists() for name in ("collector", "radius")):
        if stop.wait(0.1):
            return False
        if time.monotonic() > deadline:
            raise StartError(f"the receivers did not start within {START_SECONDS:g} s")
    return True


def _make_accounts(
    appliance: Appliance, people: tuple[Person, ...], secrets: DemoSecrets, stop: threading.Event
) -> bool:
    """Accounts of everybody who has none yet. False when `stop` came first."""
    client = AccountsClient(appliance.accounts_socket)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            known = {account["account"] for account in client.user_list()}
            break
        except AskError as error:
            if time.monotonic() > deadline:
                raise StartError(f"the account service does not answer: {error}") from error
            if stop.wait(0.2):
                return False
    for person in people:
        if stop.is_set():
            return False
        if person.account not in known:
            client.user_add(
                person.account,
                person.name,
                identified_how=IDENTIFIED,
                identified_by=IDENTIFIED,
                password=secrets.password,
                actor="demo",
            )
    return True


class _Questions(threading.Thread):
    """Asks each example until its answer has the promised certainty, then prints them all."""

    def __init__(
        self,
        appliance: Appliance,
        day: OfficeDay,
        secrets: DemoSecrets,
        people: tuple[Person, ...],
        stop: threading.Event,
    ) -> None:
        super().__init__(name="demo-questions", daemon=True)
        self._appliance = appliance
        self._day = day
        self._secrets = secrets
        self._guest = next(p for p in people if p.logs_in)
        self._stop_event = stop
        self._ready = False

    def run(self) -> None:
        deadline = time.monotonic() + ASK_FOR_SECONDS
        while not self._stop_event.wait(ASK_SECONDS):
            waiting = [e for e in self._day.examples if self._certainty(e) != e.certainty]
            if self._day.examples and not waiting:
                self._ready = True
                self._print()
                return
            if time.monotonic() > deadline:
                log.warning("the example questions have no answer after %g s; see phayan status", ASK_FOR_SECONDS)
                return

    def report(self) -> dict[str, Any]:
        """For run/demo.json: questions once their answers are certain."""
        zone, directory = self._appliance.config.site.zone, _shown(self._appliance)
        examples = self._day.examples if self._ready else []
        return {
            "v": 1,
            "ready": self._ready,
            "questions": [
                {
                    "title": {"th": e.title_th, "en": e.title},
                    "certainty": e.certainty,
                    "arguments": e.arguments(zone),
                    "command": e.command(zone, directory),
                }
                for e in examples
            ],
            "portal": {"account": self._guest.account, "password": self._secrets.password},
        }

    def _certainty(self, example: Example) -> str:
        try:
            answer = call_local(
                self._appliance.ask_socket,
                "who",
                timeout_seconds=30,
                **example.arguments(self._appliance.config.site.zone),
            )
        except AskError:
            return ""
        return str(answer["certainty"])

    def _print(self) -> None:
        zone, directory = self._appliance.config.site.zone, _shown(self._appliance)
        lines = ["", "This is a demo: an invented office of 40 people. Questions to try:"]
        for example in self._day.examples:
            lines += [
                f"  {example.title} ({example.title_th}): {example.certainty}",
                f"    {example.command(zone, directory)}",
            ]
        lines.append(f"  on the portal: account {self._guest.account}, password {self._secrets.password}")
        print("\n".join(lines), flush=True)


def _shown(appliance: Appliance) -> str:
    """The data directory as short as it can be typed here."""
    return str(appliance.directory)
