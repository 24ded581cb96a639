"""The section `[anchors]`: sentences for what is wrong, and what the processes make of it."""

from pathlib import Path

import pytest

from archive.cosignature import WitnessKey
from archive.note import VerifierKey
from deploy.anchor_trust import trust_of
from deploy.config import Config, parse_config
from deploy.errors import ConfigError
from deploy.layout import Appliance
from tests.archive.tsa_maker import MadeAuthority

KEY = WitnessKey("witness.example/one", bytes(range(32)))
LOG_KEY = VerifierKey("school.example/log", bytes(range(32)))
WITNESS = {"url": "https://witness.example/", "vkey": KEY.text()}
AUTHORITY = {"name": "tsa-one", "url": "https://tsa.example/tsr", "ca_file": "ca.pem", "signer_file": "signer.pem"}


def anchors(**values: object) -> dict:
    return {"anchors": values}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (anchors(timestamp_interval_seconds=10), ["anchors.timestamp_interval_seconds", "10", "60 to 86400"]),
        (anchors(witnes=[]), ["anchors.witnes", "did you mean 'witness'"]),
        (anchors(witness=[{"url": "https://w.example/"}]), ["anchors.witness.0.vkey", "missing"]),
        (
            anchors(witness=[{**WITNESS, "url": "ftp://w.example/"}]),
            ["anchors.witness.0.url", "ftp://", "https://host"],
        ),
        (anchors(witness=[{**WITNESS, "vkey": "nonsense"}]), ["anchors.witness.0.vkey", "nonsense", "name+id+key"]),
        (anchors(witness=[{**WITNESS, "vkey": LOG_KEY.text()}]), ["anchors.witness.0.vkey", "type 4"]),
        (anchors(witness=[{**WITNESS, "name": "two"}]), ["anchors.witness.0.name", "'two'", KEY.name]),
        (anchors(witness=[WITNESS, WITNESS]), [KEY.name, "given twice"]),
        (anchors(authority=[{**AUTHORITY, "name": "TSA 1"}]), ["anchors.authority.0.name", "TSA 1"]),
        (anchors(authority=[{**AUTHORITY, "url": "tsa.example"}]), ["anchors.authority.0.url", "tsa.example"]),
        (anchors(authority=[{**AUTHORITY, "signer_file": ""}]), ["anchors.authority.0", "signer_file or issuer_file"]),
        (anchors(authority=[{**AUTHORITY, "issuer_file": "x"}]), ["anchors.authority.0", "signer_file or issuer_file"]),
        (anchors(authority=[AUTHORITY, AUTHORITY]), ["tsa-one", "given twice"]),
        (anchors(authority=[{k: v for k, v in AUTHORITY.items() if k != "ca_file"}]), ["ca_file", "missing"]),
    ],
)
def test_the_sentence_names_setting_and_value(values: dict, expected: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(values, "phayan.toml")
    for part in expected:
        assert part in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


def test_defaults_anchor_nothing(tmp_path: Path) -> None:
    trust = trust_of(Appliance(tmp_path, None, Config(), False))
    assert (trust.witnesses, trust.authorities) == ((), ())


@pytest.fixture
def made(tmp_path: Path) -> MadeAuthority:
    return MadeAuthority("tsa-one", tmp_path / "tsa")


def appliance_of(folder: Path, authority: dict[str, str]) -> Appliance:
    config = parse_config(anchors(witness=[WITNESS], authority=[authority]), "phayan.toml")
    return Appliance(folder / "data", folder / "phayan.toml", config, False)


def test_trust_is_read_from_the_files(tmp_path: Path, made: MadeAuthority) -> None:
    (tmp_path / "ca.pem").write_bytes(made.root.pem)
    (tmp_path / "signer.pem").write_bytes(made.signer.pem)
    trust = trust_of(appliance_of(tmp_path, AUTHORITY))
    assert trust.witnesses == (KEY,)
    [authority] = trust.authorities
    assert authority.roots == (made.root.pem,)
    assert (authority.signer, authority.issuer) == (made.signer.pem, None)
    by_issuer = {**AUTHORITY, "signer_file": "", "issuer_file": "ca.pem"}
    assert trust_of(appliance_of(tmp_path, by_issuer)).authorities[0].issuer == made.root.pem


@pytest.mark.parametrize(("content", "expected"), [(None, "cannot be read"), (b"no PEM", "PEM"), (b"", "certificate")])
def test_a_file_that_is_none_is_named(
    tmp_path: Path, made: MadeAuthority, content: bytes | None, expected: str
) -> None:
    (tmp_path / "ca.pem").write_bytes(made.root.pem)
    if content is not None:
        (tmp_path / "signer.pem").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        trust_of(appliance_of(tmp_path, AUTHORITY))
    assert "anchors.authority.0" in str(caught.value)
    assert expected in str(caught.value)
