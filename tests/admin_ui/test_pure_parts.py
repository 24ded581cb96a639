"""Times as typed, proofs, raw bytes."""

import base64
import hashlib

import pytest
from fake_services import make_proof

from admin_ui.proof_check import check_proof
from admin_ui.raw_bytes import show_hex, show_text
from admin_ui.times import canonical, other_era, read_time, show_time, typed_form
from archive.errors import ArchiveFormatError

ZONE = "Asia/Bangkok"
ISO = "2026-11-20T08:01:12.000000000+07:00"


@pytest.mark.parametrize(
    "typed",
    [
        "2026-11-20 08:01:12",
        "2569-11-20 08:01:12",
        "2026-11-20T08:01:12+07:00",
        "2026-11-20T08:01:12 07:00",  # a plus sign lost in an address
        "20/11/2569 08:01:12",
        "20/11/2026 08:01:12",
        "20 พ.ย. 2569 08:01:12",
        "20 พ.ย. 2569 08:01:12.000 น. (+07:00)",
        "20 พฤศจิกายน 2569 08:01:12 น.",
        "๒๐ พ.ย. ๒๕๖๙ ๐๘:๐๑:๑๒",
    ],
)
def test_moments_as_people_type_them(typed: str) -> None:
    assert canonical(typed, ZONE) == ISO


@pytest.mark.parametrize(
    "typed", ["20/11/69 08:01", "10:3", "20 พพพ 2569", "yesterday", "", "31/02/2569", "20-11-2569"]
)
def test_moments_that_are_refused(typed: str) -> None:
    with pytest.raises(ArchiveFormatError) as caught:
        read_time(typed, ZONE)
    assert caught.value.code == "bad_time"


def test_moments_are_shown_in_both_eras_and_filled_in_again() -> None:
    assert show_time(ISO, "th", ZONE) == "20 พ.ย. 2569 08:01:12.000 น. (+07:00)"
    assert other_era(ISO, "th", ZONE) == show_time(ISO, "en", ZONE) == "2026-11-20 08:01:12.000 +07:00"
    for language in ("th", "en"):
        for iso in (ISO, "2026-11-20T08:01:12.012345678+07:00"):
            assert canonical(typed_form(iso, language, ZONE), ZONE) == iso
    assert show_time("not a time", "th", ZONE) == "not a time"
    assert show_time(None, "th", ZONE) == ""


def _tree(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + _tree(leaves[:split]) + _tree(leaves[split:])).digest()


def _path(leaves: list[bytes], index: int) -> list[bytes]:
    if len(leaves) == 1:
        return []
    split = 1 << (len(leaves) - 1).bit_length() - 1
    if index < split:
        return [*_path(leaves[:split], index), _tree(leaves[split:])]
    return [*_path(leaves[split:], index - split), _tree(leaves[:split])]


@pytest.mark.parametrize("size", range(1, 18))
def test_proofs_of_every_leaf_hold_and_changed_ones_do_not(size: int) -> None:
    leaves = [f"leaf {number}".encode() for number in range(size)]
    root = base64.b64encode(_tree(leaves)).decode()
    for index, leaf in enumerate(leaves):
        path = [base64.b64encode(value).decode() for value in _path(leaves, index)]
        proof = {
            "leaf": leaf.decode(),
            "leaf_index": index,
            "proof": path,
            "checkpoint": f"test.example/log\n{size}\n{root}\n\n",
        }
        assert check_proof(proof).holds
        assert not check_proof({**proof, "leaf": "leaf x"}).holds
        assert not check_proof({**proof, "leaf_index": index + 1}).holds
        assert not check_proof({**proof, "proof": [*path, root]}).holds
        if path:
            assert not check_proof({**proof, "proof": path[:-1]}).holds


@pytest.mark.parametrize("change", [{"checkpoint": "x"}, {"proof": ["?"]}, {"leaf_index": None}, {"proof": None}])
def test_unreadable_proofs_do_not_hold(change: dict[str, object]) -> None:
    assert not check_proof({**make_proof(), **change}).holds


def test_raw_bytes_as_text_and_hexadecimal() -> None:
    assert show_text("สวัสดี".encode()) == ("สวัสดี", "utf-8")
    assert show_text("สวัสดี".encode("cp874")) == ("สวัสดี", "cp874")
    assert show_text(b"\xff\xfe\xdb") == ("\\xff\\xfe\\xdb", "escaped")
    assert show_hex(bytes(range(48, 66))) == (
        "00000000  30 31 32 33 34 35 36 37 38 39 3a 3b 3c 3d 3e 3f  0123456789:;<=>?\n"
        "00000010  40 41                                            @A"
    )
