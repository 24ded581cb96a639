import contextlib
import json
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from archive.clock import SystemClock
from archive.errors import AskError, SpoolError
from archive.network_settings import uplink_fact
from archive.spool import SpoolWriter
from archive.spool_read import read_spool_file
from authgw.accounts.client import AccountsClient
from authgw.accounts.reader import AccountReader
from authgw.accounts.service import NETWORK_COPY, AccountsSettings, run_accounts
from authgw.accounts.store import AccountService
from authgw.errors import AccountError, AuthgwError
from authgw.names import account_key, check_account_name, decode_text

PROOF = {"identified_how": "บัตรประชาชน", "identified_by": "ครูสมศรี", "identified_when": "2026-05-16"}


class Journal:
    """The one writer of stream `identity` and what it wrote."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.writer = SpoolWriter(directory, "identity")

    def events(self) -> list[dict]:
        found = []
        for path in sorted((self.directory / "identity").glob("*[0-9].*")):
            if path.suffix not in (".open", ".spool"):
                continue
            for batch in read_spool_file(path).batches:
                start = 0
                for length in batch.payload_lengths.tolist():
                    if batch.listener == "identity":
                        found.append(json.loads(bytes(batch.payload[start : start + length])))
                    start += length
        return found


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "spool")
    yield journal
    journal.writer.close()


@pytest.fixture
def service(tmp_path, journal):
    service = AccountService(tmp_path / "accounts" / "accounts.sqlite", journal.writer, SystemClock())
    yield service
    service.close()


def add(service, name="somchai", **more):
    return service.user_add(name, "สมชาย ใจดี", actor="admin", **PROOF, **more)


def test_add_writes_event_and_row(service, journal):
    shown = add(service, password="password-9")
    assert shown["account"] == "somchai"
    assert shown["person"] == "สมชาย ใจดี"
    assert shown["has_password"]
    assert "password_hash" not in shown
    (event,) = journal.events()
    assert event["event"] == "account_created"
    assert (event["account"], event["person"], event["actor"]) == ("somchai", "สมชาย ใจดี", "admin")
    assert event["details"]["identified_by"] == "ครูสมศรี"
    assert "password-9" not in json.dumps(journal.events())
    assert "argon2" not in json.dumps(journal.events())


def test_every_change_is_an_event_in_order(service, journal):
    add(service)
    service.user_change("SOMCHAI", person="สมชาย รักดี", actor="admin")
    service.user_change("somchai", identified_how="หนังสือเดินทาง", identified_by="admin", actor="admin")
    service.user_set_password("somchai", "password-9", actor="helpdesk")
    service.user_disable("somchai", reason="ลาออก", actor="admin")
    service.user_disable("somchai", actor="admin")  # already so: no event
    service.user_disable("somchai", disabled=False, actor="admin")
    names = [e["event"] for e in journal.events()]
    assert names == [
        "account_created",
        "account_changed",
        "account_changed",
        "password_set",
        "account_disabled",
        "account_enabled",
    ]
    assert journal.events()[1]["person"] == "สมชาย รักดี"
    assert journal.events()[1]["details"]["before"] == {"person": "สมชาย ใจดี"}
    assert [e["event"] for e in service.user_events("somchai")] == names
    assert service.user_show("somchai")["disabled"] is False


def test_names_are_unique_after_case_folding(service, journal):
    add(service, "Somchai")
    with pytest.raises(AccountError) as caught:
        add(service, "sOMCHAI")
    assert caught.value.code == "account_exists"
    assert "อยู่แล้ว" in caught.value.message_th
    assert len(journal.events()) == 1
    assert service.user_show("SOMCHAI")["name"] == "Somchai"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"name": "two words"}, "bad_name"),
        ({"name": ""}, "bad_name"),
        ({"name": "-dash"}, "bad_name"),
        ({"name": "ก" * 85}, "bad_name"),
        ({"name": "a\u202eb"}, "bad_name"),
        ({"person": "  "}, "person_missing"),
        ({"person": "x" * 201}, "bad_text"),
        ({"person": "a\nb"}, "bad_text"),
        ({"identified_how": ""}, "proof_missing"),
        ({"identified_by": " "}, "proof_missing"),
        ({"identified_when": "yesterday"}, "bad_date"),
        ({"identified_when": "2569-05-16"}, "bad_date"),
        ({"password": "short"}, "bad_password"),
    ],
)
def test_wrong_input_writes_nothing(service, journal, arguments, code):
    good = {"name": "somchai", "person": "สมชาย", "actor": "admin", **PROOF}
    with pytest.raises(AccountError) as caught:
        service.user_add(**(good | arguments))
    assert caught.value.code == code
    assert caught.value.message_th != str(caught.value)
    assert journal.events() == []
    assert service.user_list() == []


def test_no_row_without_a_durable_event(service, journal, monkeypatch):
    def fail(*_arguments, **_more):
        raise SpoolError("record not durable", code="spool_not_durable")

    monkeypatch.setattr(journal.writer, "wait_durable", fail)
    with pytest.raises(SpoolError):
        add(service)
    assert service.user_list() == []


def test_a_row_that_fails_is_stated_in_the_journal(service, journal):
    with service._engine.begin() as connection:
        connection.execute(text("DROP TABLE account_events"))
    with pytest.raises(AccountError) as caught:
        add(service)
    assert caught.value.code == "accounts_unavailable"
    assert [e["event"] for e in journal.events()] == ["account_created", "change_not_applied"]
    assert service.user_list() == []


def test_database_pragmas_and_reader_is_read_only(service, tmp_path):
    add(service, password="password-9")
    path = tmp_path / "accounts" / "accounts.sqlite"
    with service._engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
    assert path.stat().st_mode & 0o007 == 0
    reader = AccountReader(path)
    stored = reader.find("SomChai")
    assert stored is not None
    assert stored.password_hash.startswith("$argon2id$")
    assert "argon2" not in repr(stored)
    with pytest.raises(Exception, match="readonly"), contextlib.closing(reader):
        reader._connection.execute(text("DELETE FROM accounts"))
    service.user_disable("somchai", actor="admin")
    assert reader.find("somchai").disabled
    assert reader.find("nobody") is None
    reader.close()


def test_reader_without_database_has_no_accounts_and_with_a_damaged_one_says_so(tmp_path):
    reader = AccountReader(tmp_path / "none.sqlite")
    assert reader.find("somchai") is None
    (tmp_path / "none.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(AuthgwError) as caught:
        reader.find("somchai")
    assert caught.value.code == "accounts_unavailable"


@pytest.fixture
def client(tmp_path):
    stop = threading.Event()
    settings = AccountsSettings(
        tmp_path / "accounts.sqlite", tmp_path / "spool-rpc", tmp_path / "run" / "accounts.sock"
    )
    thread = threading.Thread(target=run_accounts, args=(settings, stop))
    thread.start()
    client = AccountsClient(settings.socket_path)
    deadline = time.monotonic() + 20
    while True:
        try:
            client.user_list()
            break
        except AskError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    yield client
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert not settings.socket_path.exists()


def test_exporters_and_uplinks_are_stated_when_they_change(tmp_path):
    def start(*names):
        facts = tuple(uplink_fact(name, "public", "Asia/Bangkok", []) for name in names)
        settings = AccountsSettings(
            tmp_path / "a.sqlite", tmp_path / "spool", tmp_path / "run" / "a.sock", network_facts=facts
        )
        stop = threading.Event()
        stop.set()
        run_accounts(settings, stop)
        files = sorted((tmp_path / "spool" / "identity").glob("*.spool"))
        return b"".join(path.read_bytes() for path in files).count(b'"event":"network_')

    assert [start(), start("TOT"), start("TOT"), start("TOT", "AIS"), start()] == [0, 1, 1, 2, 4]
    copy = tmp_path / NETWORK_COPY
    copy.unlink()
    copy.mkdir()
    assert start("TOT") == 5, "stated, though the copy cannot be written; accounts are served all the same"


def test_client_over_the_socket(client, tmp_path):
    import os

    client.user_add("มานี", "มานี มีตา", **PROOF, password="password-9")
    client.user_change("มานี", person="มานี มีใจ", actor="registrar")
    client.user_set_password("มานี", "password-10")
    client.user_disable("มานี", reason="ย้าย")
    assert [u["name"] for u in client.user_list()] == ["มานี"]
    assert client.user_show("มานี")["disabled"]
    events = client.user_events("มานี")
    assert [e["actor"] for e in events] == [f"uid:{os.getuid()}", "registrar"] + [f"uid:{os.getuid()}"] * 2
    with sqlite3.connect(tmp_path / "accounts.sqlite") as database:
        assert database.execute("SELECT count(*) FROM accounts").fetchone() == (1,)


def test_client_errors_have_both_languages(client):
    with pytest.raises(AskError) as caught:
        client.user_show("nobody")
    assert caught.value.code == "account_unknown"
    assert "ไม่มีบัญชี" in caught.value.message_th
    with pytest.raises(AskError) as caught:
        client._call("user_add", name="x", nonsense="y")
    assert caught.value.code == "bad_request"
    with pytest.raises(AskError) as caught:
        client._call("user_add", name=["x"])
    assert caught.value.code == "bad_request"


def test_nobody_listening(tmp_path):
    with pytest.raises(AskError) as caught:
        AccountsClient(tmp_path / "none.sock").user_list()
    assert caught.value.code == "not_running"


def test_thai_names_are_letters():
    assert check_account_name("ครูสมศรี.ที่รัก") == "ครูสมศรี.ที่รัก"
    assert account_key("STRAßE") == "strasse"


def test_text_of_old_devices():
    assert decode_text("สมชาย".encode()) == "สมชาย"
    assert decode_text("สมชาย".encode("tis-620")) == "สมชาย"
    assert decode_text("“สมชาย”".encode("cp874")) == "“สมชาย”"
    assert decode_text(b"ok\xff") == "ok\\xff"
