"""The fingerprint of what decodes: of the source that is used, and of nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import deploy.decoder_fingerprint as decoder_fingerprint_module
from deploy.decoder_fingerprint import source_fingerprint
from deploy.decoders import decoder_fingerprint, make_chunk_decoder
from tests.appliance import REPOSITORY

SOURCES = {
    "first.py": "from fp_wire import second\nimport json\n",
    "second.py": "def late():\n    from fp_wire.third import value\n",
    "third.py": "value = 1\n",
    "other.py": "value = 1\n",
}


def test_it_follows_what_is_imported_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "fp_wire"
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name, text in SOURCES.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(decoder_fingerprint_module, "OUR_PACKAGES", ("fp_wire",))
    first = source_fingerprint("fp_wire.first")
    assert len(first) == 16
    assert source_fingerprint("fp_wire.first") == first
    for name, is_used in (("other.py", False), ("third.py", True), ("second.py", True), ("first.py", True)):
        before = source_fingerprint("fp_wire.first")
        (folder / name).write_text(SOURCES[name] + "# changed\n")
        assert (source_fingerprint("fp_wire.first") != before) is is_used, name


def test_every_decoder_and_the_tables_are_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    source = decoder_fingerprint_module._source
    monkeypatch.setattr(decoder_fingerprint_module, "_source", lambda name: read.append(name) or source(name))
    assert source_fingerprint("deploy.decoders") == decoder_fingerprint()
    made = make_chunk_decoder("Asia/Bangkok", ())
    assert made.fingerprint == decoder_fingerprint()
    assert {type(one).__module__ for one in [made, *made._decoders]} | {"archive.schema"} <= set(read)


def test_it_is_the_same_where_the_packages_are_installed_otherwise(tmp_path: Path) -> None:
    """In a zip archive, read by the loader of archives, in a process of its own."""
    for package in ("archive", "authgw", "collector", "deploy"):
        shutil.copytree(
            REPOSITORY / package, tmp_path / "all" / package, ignore=shutil.ignore_patterns("__pycache__", "*.sh")
        )
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "all")
    code = "import deploy.decoders as d; print(d.__file__, d.decoder_fingerprint())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, cwd=tmp_path, env={"PYTHONPATH": packed, "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    path, fingerprint = done.stdout.split()
    assert path.startswith(packed)
    assert fingerprint == decoder_fingerprint()
