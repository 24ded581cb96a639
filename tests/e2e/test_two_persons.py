"""The question the product exists for: two persons, one outside port, the same second; the NAT is a real one."""

import os
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.appliance import SECRET, RunningAppliance
from tests.e2e.lab import (
    APPLIANCE,
    CLIENTS,
    CONNECT_ONCE,
    OUTSIDE,
    SERVE,
    SERVERS,
    Lab,
    can_make_namespaces,
    wait_until,
)

PEERS = ("radclient", "conntrack", "nft", "ip", "logger")
PORT = 40_000
PORTAL_LOG_IN = """
import re, ssl, sys, urllib.parse, urllib.request, http.cookiejar
base, action, values = sys.argv[1], sys.argv[2], sys.argv[3:]
context = ssl._create_unverified_context()
jar = http.cookiejar.CookieJar()
opener = urllib.request.build_opener(
    urllib.request.HTTPSHandler(context=context), urllib.request.HTTPCookieProcessor(jar)
)
page = opener.open(base + ("/" if action == "login" else "/status"), timeout=10).read().decode()
form = dict(re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page))
form.update(v.split("=", 1) for v in values)
print(opener.open(base + "/" + action, urllib.parse.urlencode(form).encode(), timeout=10).read().decode())
"""


def missing_peers() -> list[str]:
    return [peer for peer in PEERS if shutil.which(peer) is None]


def radius(appliance: RunningAppliance, kind: str, attributes: str, port: int) -> str:
    done = subprocess.run(
        ["radclient", "-x", f"127.0.0.1:{port}", kind, SECRET],
        input=attributes,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.stdout


@pytest.mark.interop
def test_two_persons_behind_one_port(tmp_path: Path) -> None:
    if missing_peers() or not can_make_namespaces():
        reason = f"needs root, namespaces and {', '.join(missing_peers()) or 'all peers'}"
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure()
    with Lab() as lab:
        appliance.start()
        try:
            _two_persons(appliance, lab)
        finally:
            appliance.stop()


def _two_persons(appliance: RunningAppliance, lab: Lab) -> None:
    appliance.add_user("somchai", "สมชาย ใจดี", "correct horse 1")
    appliance.add_user("malee", "มาลี มีสุข", "correct horse 2")
    events = lab.start("gw", "stdbuf", "-oL", "conntrack", "-E", "-o", "timestamp,id", stdout=subprocess.PIPE)
    syslog = str(appliance.ports["syslog_udp"])
    lab.start_here(
        ["logger", "--server", "127.0.0.1", "--port", syslog, "--udp", "-t", "conntrack"], stdin=events.stdout
    )
    for server in SERVERS:
        lab.start(server, sys.executable, "-c", SERVE, "80")
    # One person logs in by RADIUS, through a NAS that then reports the session.
    auth, acct = appliance.ports["radius_auth"], appliance.ports["radius_acct"]
    accepted = radius(
        appliance, "auth", 'User-Name = "somchai", User-Password = "correct horse 1", NAS-IP-Address = 127.0.0.1', auth
    )
    assert "Access-Accept" in accepted
    marker = re.findall(r"Class = (0x[0-9a-f]+)", accepted)[-1]
    common = (
        f'User-Name = "somchai", Acct-Session-Id = "5001", NAS-IP-Address = 127.0.0.1, Class = {marker}, '
        f'Framed-IP-Address = {CLIENTS["c1"]}, Calling-Station-Id = "02-00-00-AA-BB-01"'
    )
    assert "Accounting-Response" in radius(appliance, "acct", f"{common}, Acct-Status-Type = Start", acct)
    # The other by the portal, from her own address.
    base = f"https://{APPLIANCE}:{appliance.ports['portal_https']}"
    page = lab.inside(
        "c2", sys.executable, "-c", PORTAL_LOG_IN, base, "login", "username=malee", "password=correct horse 2"
    )
    assert "ใช้อินเทอร์เน็ตได้แล้ว" in page
    time.sleep(1)
    connections = [
        lab.start(client, sys.executable, "-c", CONNECT_ONCE, SERVERS[server], "80", str(PORT), "3")
        for client, server in (("c1", "s1"), ("c2", "s2"))
    ]
    at = datetime.now(UTC)
    for connection in connections:
        assert connection.wait(20) == 0
    table = lab.inside("gw", "conntrack", "-L")
    assert table.count(f"dport={PORT}") >= 2, f"the NAT gave two different ports:\n{table}"
    lab.inside("gw", "conntrack", "-F")
    time.sleep(1)
    assert "Accounting-Response" in radius(appliance, "acct", f"{common}, Acct-Status-Type = Stop", acct)
    lab.inside("c2", sys.executable, "-c", PORTAL_LOG_IN, base, "logout")

    def ask(*extra: str, port: int = PORT) -> dict:
        return appliance.ask("who", OUTSIDE, "--port", str(port), "--at", at.isoformat(), "--tolerance", "5", *extra)

    wait_until(lambda: len(ask()["candidates"]) == 2 and ask()["certainty"] == "several", 30, "both are indexed")
    both = ask()
    assert {c["account"] for c in both["candidates"]} == {"somchai", "malee"}
    assert {c["person"] for c in both["candidates"]} == {"สมชาย ใจดี", "มาลี มีสุข"}
    for server, account in (("s1", "somchai"), ("s2", "malee")):
        one = wait_until(
            lambda to=SERVERS[server]: (lambda a: a if a["certainty"] == "exact" else None)(ask("--to", f"{to}:80")),
            30,
            f"the answer for {server} is exact: {ask('--to', SERVERS[server])}",
        )
        assert [c["account"] for c in one["candidates"]] == [account]
        _check_evidence(appliance, one, account)
    nobody = ask(port=PORT + 1)
    assert nobody["candidates"] == []
    assert nobody["certainty"] == "no_record"


def _check_evidence(appliance: RunningAppliance, answer: dict, account: str) -> None:
    """Leaf and row of the NAT event and of the session lead to records that say so."""
    steps = {step["step"]: step for step in answer["candidates"][0]["steps"]}
    for name, table in (("public_address", "nat"), ("session", "sessions")):
        step = steps[name]
        assert step["certainty"] == "exact", step
        rows = appliance.ask("search", f"table:{table}", "--since", "-1h", "--limit", "1000")["rows"]
        cited = [r for r in rows if (r["leaf_index"], r["row"]) == (step["leaf_index"], step["row"])]
        assert cited, f"{name} cites leaf {step['leaf_index']} row {step['row']}, which search does not know"
        if table == "sessions":
            assert {r["fields"]["account"] for r in cited} == {account}
        else:
            assert {r["fields"]["outside_port_low"] for r in cited} == {PORT}
