"""The anchor process under `phayan up`: it brings heads to a real witness and authority and answers which heads are
kept outside."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from archive.anchor.check import ANCHOR_FIELDS, check_anchor
from archive.anchor.judgement import judge_heads
from archive.anchor.outside_heads import ask_for_heads, read_found
from archive.clock import SystemClock
from archive.index.leaf_reader import LeafReader
from archive.note import open_checkpoint, parse_verifier_key
from archive.witness.app import make_witness_app
from archive.witness.key import WitnessSigner
from archive.witness.state import WitnessState
from deploy.anchor_trust import trust_of
from deploy.layout import Appliance, open_appliance
from tests.appliance import RunningAppliance
from tests.archive.tsa_maker import MadeAuthority
from tests.archive.tsa_server import TsaServer
from tests.archive.witnessed_logs import private_key

WITNESS = WitnessSigner("witness.example/one", private_key("witness.example/one"))


class QuietHandler(WSGIRequestHandler):
    """Tests print what matters."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[tuple[WSGIServer, WitnessState]]:
    state = WitnessState(tmp_path / "witness")
    server = make_server("127.0.0.1", 0, make_witness_app(state, WITNESS, SystemClock()), handler_class=QuietHandler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server, state
    server.shutdown()
    server.server_close()


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[TsaServer]:
    server = TsaServer(MadeAuthority("tsa-one", tmp_path / "tsa"))
    yield server
    server.close()


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_heads_are_anchored_and_found_again(
    tmp_path: Path, witness: tuple[WSGIServer, WitnessState], authority: TsaServer
) -> None:
    server, state = witness
    (tmp_path / "ca.pem").write_bytes(authority.authority.root.pem)
    appliance = RunningAppliance(tmp_path / "office")
    appliance.configure(
        f"""
[anchors]
copies = ["not-mounted/office.head"]
[[anchors.witness]]
url = "http://127.0.0.1:{server.server_port}"
vkey = "{WITNESS.witness_key.text()}"
[[anchors.authority]]
name = "tsa-one"
url = "{authority.url}"
ca_file = "ca.pem"
issuer_file = "ca.pem"
"""
    )
    assert appliance.phayan("init", "--config", str(appliance.config_path)).returncode == 0
    opened = open_appliance(str(appliance.directory), str(appliance.config_path))
    key = parse_verifier_key((opened.paths.log / "key.vkey").read_text().strip())
    state.add(key, "office")
    anchors = appliance.directory / "anchors"
    appliance.start()
    try:
        assert "anchor" in appliance.process_ids()
        wait_for(
            lambda: [*anchors.glob("*.tsr")] and any(b"witness.example" in p.read_bytes() for p in _heads(anchors))
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            # Anchors alone make no head; they are sealed with the next one that something else makes due.
            link.sendto(b"<13>something to seal", ("127.0.0.1", appliance.ports["syslog_udp"]))
        wait_for(lambda: {fields["by"] for fields in _sealed(opened)} == {"witness", "timestamp_authority"})
        for fields in _sealed(opened):
            check_anchor(fields, key, trust_of(opened))
        nonce = ask_for_heads(opened.paths, opened.paths.origin())
        wait_for(lambda: read_found(opened.paths, nonce) is not None)
        found = read_found(opened.paths, nonce)
        assert found is not None
        own = open_checkpoint((opened.paths.log / "checkpoint").read_bytes(), key)
        judgement = judge_heads(own, key, found)
        assert [one.name for one in judgement.behind] == ["witness.example/one"]
        assert [name for name, _ in judgement.unreachable] == [str(tmp_path / "not-mounted/office.head")]
        report = json.loads((opened.paths.run / "anchor.json").read_text())
        assert [one["problem"] for one in report["witnesses"] + report["authorities"]] == [None, None]
        status = appliance.ask("status")
        assert "anchor" in status["processes"]
        assert not [one for one in status["alarms"] if one["code"] == "process_down"]
    finally:
        appliance.stop()


def _sealed(opened: Appliance) -> list[dict[str, Any]]:
    """The fields of every anchor leaf."""
    reader = LeafReader(opened.paths)
    leaves = [reader.leaf(index) for index in range(reader.newest_size())]
    return [{k: v for k, v in leaf.items() if k in ANCHOR_FIELDS} for leaf in leaves if leaf["kind"] == "anchor"]


def _heads(anchors: Path) -> list[Path]:
    return [*anchors.glob("*.checkpoint")]
