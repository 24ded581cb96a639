"""`[[copy]]`: addresses, secrets as files, and one sentence for what is wrong."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from archive.copies.directory_target import DirectoryTarget
from archive.copies.s3_target import S3Target
from archive.copies.sftp_target import SftpTarget
from archive.copies.target import CopyError
from deploy.cli import main
from deploy.config import parse_config
from deploy.config_copies import CopySettings, open_target
from deploy.errors import ConfigError

SFTP = {"name": "school", "url": "sftp://box@copies.test:2222/srv/a", "key_file": "key", "host_key": "ssh-ed25519 AAAA"}
S3 = {"name": "cloud", "url": "s3://bucket/a/b", "access_key_file": "access"}


def test_each_kind_of_place(tmp_path: Path) -> None:
    (tmp_path / "access").write_text("name\nsecret\n")
    usb = open_target(CopySettings(name="usb", url="/mnt/usb"), tmp_path)
    school = open_target(CopySettings.model_validate(SFTP), tmp_path)
    cloud = open_target(CopySettings.model_validate(S3), tmp_path)
    assert isinstance(usb, DirectoryTarget)
    assert isinstance(school, SftpTarget)
    assert isinstance(cloud, S3Target)
    assert [usb.address, school.address, cloud.address] == ["/mnt/usb", SFTP["url"], S3["url"]]
    (tmp_path / "access").write_text("only one\nand\nmore")
    with pytest.raises(CopyError, match="a line each"):
        open_target(CopySettings.model_validate(S3), tmp_path)
    (tmp_path / "access").unlink()
    with pytest.raises(CopyError, match="cannot be read"):
        open_target(CopySettings.model_validate(S3), tmp_path)


@pytest.mark.parametrize(
    ("copy", "sentence"),
    [
        ({"name": "a", "url": "mnt/usb"}, "valid is /path"),
        ({"name": "a", "url": "sftp://host/path"}, "valid is /path"),
        ({"name": "a", "url": "sftp://u:secret@host/path"}, "valid is /path"),
        ({"name": "a", "url": "sftp://u@host:99999/path"}, "valid is /path"),
        ({"name": "a", "url": "ftp://host/path"}, "valid is /path"),
        ({**SFTP, "host_key": ""}, "needs key_file and host_key"),
        ({**S3, "access_key_file": ""}, "needs access_key_file"),
        ({"name": "a", "url": "/x", "intervall_minutes": 5}, "did you mean 'interval_minutes'"),
        ({"name": "a", "url": "/x", "interval_minutes": 0}, "valid are 1 to 43200"),
    ],
)
def test_what_is_wrong_is_one_sentence(copy: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"copy": [copy]}, "phayan.toml")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_is_given_once() -> None:
    with pytest.raises(ConfigError, match="given twice"):
        parse_config({"copy": [{"name": "a", "url": "/x"}, {"name": "a", "url": "/y"}]}, "phayan.toml")


def test_a_recipient_is_one() -> None:
    with pytest.raises(ConfigError):
        parse_config({"recovery": {"recipient": "age1short"}}, "phayan.toml")


@pytest.mark.parametrize(
    "words", [("copies", "run", "x"), ("restore", "nowhere://x", "--yes"), ("move", "accept", "/x")]
)
def test_commands_refuse_in_one_sentence(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(main, [*words, "--data", str(tmp_path / "data")])
    assert done.exit_code == 2, done.output
    assert len(done.stderr.strip().splitlines()) == 1
