"""`phayan decode` on every capture of the corpus: it prints records or says why not, and never a traceback."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.appliance import PHAYAN, REPOSITORY

CORPUS = REPOSITORY.parent / "shared" / "corpus" / "netflow"


def test_every_capture_of_the_corpus(tmp_path: Path) -> None:
    if not CORPUS.is_dir():
        assert os.environ.get("CI") != "true", "the corpus is missing"
        pytest.skip("the corpus of captures is not beside the checkout")
    files = sorted(CORPUS.glob("*.dat"))
    assert len(files) > 40
    for path in files:
        done = subprocess.run([str(PHAYAN), "decode", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{path.name}: {done.stderr}"
        assert "Traceback" not in done.stderr
        for line in done.stdout.splitlines():
            assert json.loads(line)["table"] in ("flows", "nat", "options", "logs"), path.name


def test_template_and_data_in_either_order_give_the_same_records() -> None:
    if not CORPUS.is_dir():
        pytest.skip("the corpus of captures is not beside the checkout")
    template, data = CORPUS / "netflow9_test_macaddr_tpl.dat", CORPUS / "netflow9_test_macaddr_data.dat"

    def decode(*paths: Path) -> list[dict]:
        done = subprocess.run([str(PHAYAN), "decode", *map(str, paths)], capture_output=True, text=True, check=True)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        for row in rows:
            for name in ("leaf_index", "row", "received"):
                row.pop(name)
        return sorted(rows, key=lambda r: json.dumps(r, sort_keys=True))

    first = decode(template, data)
    assert len(first) >= 2
    assert decode(data, template) == first


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(PHAYAN), "decode", str(tmp_path / "none.dat")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "none.dat" in done.stderr
