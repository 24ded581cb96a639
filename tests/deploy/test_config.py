"""A wrong or unknown setting stops the start with one sentence that names setting, value and valid range."""

import subprocess
from pathlib import Path

import pytest

from deploy.config import Config, load_config, parse_config
from deploy.errors import ConfigError
from tests.appliance import PHAYAN


def refusal(values: dict) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(values, "phayan.toml")
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_retention_below_the_floor_is_refused() -> None:
    text = refusal({"archive": {"retention_days": 89}})
    assert "archive.retention_days" in text
    assert "89" in text
    assert "90 to 800" in text
    assert parse_config({"archive": {"retention_days": 90}}, "x").archive.retention_days == 90


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"archive": {"retenton_days": 100}}, ["archive.retenton_days", "retention_days"]),
        ({"arhive": {}}, ["arhive", "archive"]),
        ({"syslog": {"udp_ports": [70_000]}}, ["syslog.udp_ports.0", "70000"]),
        ({"syslog": {"address": "everywhere"}}, ["syslog.address", "everywhere"]),
        ({"radius": {"client": [{"network": "10.0.0.0/8"}]}}, ["radius.client.0.secret", "missing"]),
        (
            {"radius": {"client": [{"network": "gateway", "secret": "12345678"}]}},
            ["radius.client.0.network", "gateway"],
        ),
        ({"radius": {"client": [{"network": "10.0.0.1", "secret": "12345678", "nam": "x"}]}}, ["client.0.nam", "name"]),
        ({"site": {"zone": "Bangkok/Asia"}}, ["site.zone", "Bangkok/Asia"]),
        ({"archive": {"verify_at": "25:00"}}, ["archive.verify_at", "25:00"]),
        ({"realm": [{"network": "10.0.0.0/8", "name": "Main Site"}]}, ["realm.0.name", "Main Site"]),
    ],
)
def test_the_sentence_names_setting_and_value(values: dict, expected: list[str]) -> None:
    text = refusal(values)
    for part in expected:
        assert part in text, text


def test_defaults_are_valid_and_need_no_file() -> None:
    assert load_config(None) == Config()


def test_up_refuses_with_one_sentence_and_makes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "phayan.toml"
    config.write_text("[archive]\nretention_days = 89\n")
    data = tmp_path / "data"
    done = subprocess.run(
        [str(PHAYAN), "up", "--data", str(data), "--config", str(config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert "retention_days" in done.stderr
    assert not data.exists()


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    config = tmp_path / "phayan.toml"
    config.write_text("[archive\n")
    with pytest.raises(ConfigError) as caught:
        load_config(config)
    assert "phayan.toml" in str(caught.value)
