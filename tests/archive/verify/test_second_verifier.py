"""A verifier written from docs/FORMAT.md alone finds an intact log intact, and every tampering with it."""

import ast
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard
from whole_log import WITNESS_KEY, make_whole_log

SCRIPT = Path(__file__).parents[2] / "second_verifier.py"
KINDS = {  # kind of file -> pattern below the data folder, or of the head beside it
    "head": "../data.head",
    "checkpoint": "log/checkpoint",
    "key": "log/key.vkey",
    "origin": "log/origin",
    "certificate": "log/package.crt",
    "segment": "log/segments/*/*/*.seg",
    "units": "log/segments/*/*/*.units",
    "salt key": "log/segments/*/*/salt.key",
    "held file": "log/held/*/*.held",
    "held rows": "log/held/*/*.rows",
    "tile": "log/tile/0/**/[0-9]*",
    "bundle": "log/tile/entries/**/*.zst",
    "former head": "former/1/head",
    "former checkpoint": "former/1/log/checkpoint",
    "former key": "former/1/log/key.vkey",
    "former origin": "former/1/log/origin",
    "former certificate": "former/1/log/package.crt",
    "former segment": "former/1/log/segments/*/*/*.seg",
    "former units": "former/1/log/segments/*/*/*.units",
    "former salt key": "former/1/log/segments/*/*/salt.key",
    "former held file": "former/1/log/held/*/*.held",
    "former tile": "former/1/log/tile/0/**/[0-9]*",
    "former bundle": "former/1/log/tile/entries/**/*.zst",
}


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """A folder with an intact `data` and `data.head`."""
    folder = tmp_path_factory.mktemp("intact")
    made = make_whole_log(folder / "made", rounds=3)
    made.close()
    shutil.copytree(made.paths.directory, folder / "copy" / "data")
    shutil.copy(made.paths.head, folder / "copy" / "data.head")
    return folder / "copy"


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """Paths of another archive, whose logs have the same names."""
    folder = tmp_path_factory.mktemp("older")
    made = make_whole_log(folder / "made", rounds=2)
    made.close()
    return made.paths


def judge(folder: Path, *options: object) -> tuple[int, str, str]:
    words = [sys.executable, SCRIPT, folder / "data", folder / "data.head", *options]
    done = subprocess.run([*map(os.fspath, words)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def witnessed(folder: Path, *options: object) -> tuple[int, str, str]:
    return judge(folder, "--witness", WITNESS_KEY.text(), *options)


def files(folder: Path, kind: str) -> list[Path]:
    found = sorted(path for path in (folder / "data").glob(KINDS[kind]) if path.is_file()) if kind != "head" else []
    return found or [folder / "data.head"]


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def is_defect(outcome: tuple[int, str, str]) -> bool:
    code, lines, errors = outcome
    return code == 1 and bool(lines.strip()) and "Traceback" not in errors


def test_intact(intact):
    assert witnessed(intact, "--checkpoint", intact / "data.head") == (0, "", "")
    assert judge(intact) == (0, "", "")


def test_every_kind_of_file_is_there(intact):
    for kind in KINDS:
        for path in files(intact, kind):
            assert path.stat().st_size > 0
            assert (path == intact / "data.head") == (kind == "head")


@pytest.mark.parametrize("kind", KINDS)
def test_one_bit_deletion_and_truncation(intact, tmp_path, kind):
    chance = random.Random(kind)

    def tamper(number: int) -> tuple[int, str, str]:
        folder = tmp_path / str(number)
        shutil.copytree(intact, folder)
        path = chance.choice(files(folder, kind))
        if number == 0:
            path.unlink()
        elif number == 1:
            path.write_bytes(path.read_bytes()[:-1])
        else:
            flip(path, chance.randrange(path.stat().st_size * 8))
        return witnessed(folder)

    with ThreadPoolExecutor(3) as pool:
        assert all(is_defect(outcome) for outcome in pool.map(tamper, range(3)))


def tampered(intact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(intact, tmp_path / "copy"))


def test_segments_swapped(intact, tmp_path):
    folder = tampered(intact, tmp_path)
    segments = files(folder, "segment")
    first, second = segments[0].read_bytes(), segments[-1].read_bytes()
    segments[0].write_bytes(second)
    segments[-1].write_bytes(first)
    assert is_defect(witnessed(folder))


def test_units_files_swapped(intact, tmp_path):
    folder = tampered(intact, tmp_path)
    units = files(folder, "units")
    first, second = units[0].read_bytes(), units[1].read_bytes()
    units[0].write_bytes(second)
    units[1].write_bytes(first)
    assert is_defect(witnessed(folder))


def anchored(folder: Path) -> tuple[int, str, list[bytes]]:
    """Size and text of an older checkpoint that the log itself signed, as its anchors keep it, and all raw leaves."""
    (bundle,) = files(folder, "bundle")
    content, leaves = zstandard.ZstdDecompressor().decompressobj().decompress(bundle.read_bytes()), []
    while content:
        length = int.from_bytes(content[:2], "big")
        leaves.append(content[2 : 2 + length])
        content = content[2 + length :]
    notes = [leaf["checkpoint"] for leaf in map(json.loads, leaves) if leaf["kind"] == "anchor"]
    return int(notes[-1].split("\n")[1]), notes[-1], leaves


def cut_tail(folder: Path) -> str:
    """Cuts the log back to an older checkpoint of its own; the text of that."""
    size, note, leaves = anchored(folder)
    (bundle,), (tile,) = files(folder, "bundle"), files(folder, "tile")
    content = b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves[:size])
    frame = zstandard.ZstdCompressor(write_checksum=True).compress(content)
    sum_frame = b"\x50\x2a\x4d\x18\x20\0\0\0" + hashlib.sha256(frame).digest()
    bundle.with_name(f"{size}.zst").write_bytes(frame + sum_frame)
    tile.with_name(str(size)).write_bytes(tile.read_bytes()[: 32 * size])
    bundle.unlink()
    tile.unlink()
    (folder / "data/log/checkpoint").write_text(note)
    return note


def test_tail_cut_off_behind_the_head(intact, tmp_path):
    folder = tampered(intact, tmp_path)
    cut_tail(folder)
    assert is_defect(witnessed(folder))


def test_tail_cut_off_with_an_older_head(intact, tmp_path):
    folder = tampered(intact, tmp_path)
    (folder / "data.head").write_text(cut_tail(folder))
    assert witnessed(folder)[0] == 0, "by itself it is a log that ends earlier"
    assert is_defect(witnessed(folder, "--checkpoint", intact / "data.head"))


def test_head_alone_is_older(intact, tmp_path):
    folder = tampered(intact, tmp_path)
    (folder / "data.head").write_text(anchored(folder)[1])
    assert is_defect(witnessed(folder))


def test_older_checkpoint_is_the_beginning(intact, tmp_path):
    path = tmp_path / "older"
    path.write_text(anchored(intact)[1])
    assert witnessed(intact, "--checkpoint", path) == (0, "", "")


def test_chunks_of_a_segment_swapped(intact, tmp_path):
    folder = tampered(intact, tmp_path)
    leaves = [json.loads(leaf) for leaf in anchored(folder)[2]]
    there = [
        leaf for leaf in leaves if leaf["kind"] == "data" and (folder / "data/log/segments" / leaf["segment"]).exists()
    ]
    first, second = there[:3:2]
    path = folder / "data/log/segments" / first["segment"]
    assert first["segment"] == second["segment"]
    data = path.read_bytes()
    end = second["offset"] + second["length"]
    path.write_bytes(data[first["length"] : end] + data[: first["length"]] + data[end:])
    assert is_defect(witnessed(folder))


def test_checkpoint_of_another_archive(intact, older):
    assert is_defect(witnessed(intact, "--checkpoint", older.head))


def test_another_witness_key(intact, tmp_path):
    name, identity, encoded = WITNESS_KEY.text().split("+", 2)
    code, _, errors = judge(intact, "--witness", f"{name}+{'0' * 8}+{encoded}")
    assert identity != "0" * 8
    assert code == 2
    assert "Traceback" not in errors


def test_former_log_taken_away(intact, tmp_path):
    folder = tampered(intact, tmp_path)
    shutil.rmtree(folder / "data/former")
    assert is_defect(witnessed(folder))


def test_could_not_run(tmp_path):
    assert judge(tmp_path)[0] == 2


def test_it_is_short_and_owes_the_product_nothing():
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 460
    modules = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules |= {name.name.split(".")[0] for name in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            modules.add((node.module or "").split(".")[0])
    assert modules <= sys.stdlib_module_names | {"zstandard", "cryptography"}
