"""`phayan witness`: from a key to cosignatures over HTTP and TLS, and one sentence for what cannot be."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from archive.cosignature import parse_witness_key
from archive.witness.client import WitnessAheadError, WitnessClient, WitnessError
from deploy.cli import main
from tests.appliance import free_port
from tests.archive.witnessed_logs import GrowingLog
from tests.collector.net.certificates import Authority

PHAYAN = Path(sys.executable).with_name("phayan")
NAME = "witness.district.example"
LOG = GrowingLog().grow(9)


def run(data: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["witness", *words, "--data", str(data)])


def refusal(data: Path, *words: str) -> str:
    result = run(data, *words)
    assert result.exit_code == 2, result.output
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    return result.stderr


@contextmanager
def serving(data: Path, *options: str) -> Iterator[str]:
    """`phayan witness serve` on a free port; ends with SIGTERM, which must be answered with exit code 0."""
    port = str(free_port())
    command = [str(PHAYAN), "witness", "serve", "--port", port, "--data", str(data), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"://127.0.0.1:{port}" in line, line
        yield line.split()[-1]
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")


def test_a_key_is_printed_and_stays(tmp_path: Path) -> None:
    assert "--name" in refusal(tmp_path, "key")
    first = run(tmp_path, "key", "--name", NAME)
    assert parse_witness_key(first.output.strip()).name == NAME
    assert run(tmp_path, "key").output == first.output
    assert run(tmp_path, "key", "--name", NAME).output == first.output
    assert "already" in refusal(tmp_path, "key", "--name", "other")


def test_the_name_of_an_offices_witness_comes_from_its_log(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log/origin").write_text("school.example/log\n")
    assert parse_witness_key(run(tmp_path, "key").output.strip()).name == "school.example/log/witness"


def test_logs_are_added_listed_and_removed(tmp_path: Path) -> None:
    assert run(tmp_path, "add-log", LOG.key.text(), "--name", "โรงเรียน").exit_code == 0
    assert run(tmp_path, "list").output == f"           0 {LOG.origin}  โรงเรียน\n"
    assert json.loads(run(tmp_path, "list", "--format", "json").output) == [
        {"origin": LOG.origin, "vkey": LOG.key.text(), "name": "โรงเรียน", "tree_size": 0}
    ]
    assert run(tmp_path, "remove-log", LOG.origin).exit_code == 0
    assert run(tmp_path, "list").output == ""
    assert "no log" in refusal(tmp_path, "remove-log", LOG.origin)


@pytest.mark.parametrize("vkey", ["x", "", LOG.key.text()[:-1], LOG.key.text() + "\n"])
def test_what_is_no_key_of_a_log_is_refused(tmp_path: Path, vkey: str) -> None:
    assert "log/key.vkey" in refusal(tmp_path, "add-log", vkey)
    witness = run(tmp_path, "key", "--name", NAME).output.strip()
    assert "log/key.vkey" in refusal(tmp_path, "add-log", witness)


def test_what_cannot_be_served_is_one_sentence(tmp_path: Path) -> None:
    assert "has no key" in refusal(tmp_path, "serve")
    run(tmp_path, "key", "--name", NAME)
    assert "needs TLS" in refusal(tmp_path, "serve", "--address", "0.0.0.0")
    assert "not an IP address" in refusal(tmp_path, "serve", "--address", "localhost")
    certificate, key = Authority(tmp_path / "tls").issue("server")
    assert "both" in refusal(tmp_path, "serve", "--tls-certificate", str(certificate))
    assert "both" in refusal(tmp_path, "serve", "--tls-key", str(key))


def test_two_offices_over_http(tmp_path: Path) -> None:
    witness_key = parse_witness_key(run(tmp_path, "key", "--name", NAME).output.strip())
    with serving(tmp_path) as url:
        client = WitnessClient(url, witness_key)
        with pytest.raises(WitnessError, match="does not know our log"):
            client.add_checkpoint(LOG.note(), 0, LOG.proof)
        run(tmp_path, "add-log", LOG.key.text())
        client.add_checkpoint(LOG.note(4), 0, LOG.proof)
        cosigned = client.add_checkpoint(LOG.note(), 0, LOG.proof)
        assert client.newest_checkpoint(LOG.origin) == LOG.note() + f"{cosigned.line}\n".encode()
        with pytest.raises(WitnessError) as fork:
            client.add_checkpoint(LOG.fork(5, "other", 8).note(), 9, LOG.fork(5, "other", 8).proof)
        assert fork.value.status == 422
    with serving(tmp_path) as url, pytest.raises(WitnessAheadError) as ahead:
        WitnessClient(url, witness_key).add_checkpoint(LOG.note(7), 4, LOG.proof)
    assert ahead.value.size == 9


def test_two_offices_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    certificate, key = authority.issue("server")
    witness_key = parse_witness_key(run(tmp_path, "key", "--name", NAME).output.strip())
    run(tmp_path, "add-log", LOG.key.text())
    with serving(tmp_path, "--tls-certificate", str(certificate), "--tls-key", str(key)) as url:
        assert url.startswith("https://")
        client = WitnessClient(url, witness_key, ca_file=authority.ca)
        assert client.add_checkpoint(LOG.note(), 0, LOG.proof).unix_seconds > 1_700_000_000
