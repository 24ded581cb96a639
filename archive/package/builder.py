"""From an answer to the files of its bag: the cited records, chunks, leaves and proofs, all under one checkpoint."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from archive.ask.record import format_tlog_proof, prove_leaves
from archive.chunk import decode_chunk
from archive.errors import ArchiveIntegrityError, AskError
from archive.index.leaf_reader import LeafReader
from archive.index.worker import stored_chunk
from archive.leaf import decode_leaf
from archive.origin import ArchivePaths
from archive.package.answer_files import (
    VERIFY_TXT,
    answer_csv,
    answer_json,
    answer_text,
    chunk_name,
    dictionary_csv,
    raw_name,
)
from archive.package.bag import make_bag
from archive.segment import read_stored_chunk

KEY_LEAF = 0
FORMER_LOG = (
    "the answer cites records of the earlier log {log}, and a package holds records of the newest log only; show those "
    "records with their proofs instead / คำตอบอ้างถึงระเบียนของบันทึกชุดก่อน {log} ชุดหลักฐานรวมได้เฉพาะระเบียนของบันทึกชุดปัจจุบัน "
    "โปรดใช้หน้าระเบียนพร้อมข้อพิสูจน์แทน"
)


@dataclass(frozen=True)
class PackageFacts:
    """Who made a package, why and when; printed on it."""

    identifier: str
    title: str
    reason: str
    maker: str
    made_at: str
    site_name: str
    software: str

    def lines(self) -> dict[str, str]:
        return {
            "ชุดที่ / Package": self.identifier,
            "เรื่อง / Title": self.title,
            "เหตุ / Reason": self.reason,
            "ผู้จัดทำ / Made by": self.maker,
            "ผู้อนุมัติ / Approved by": f"{self.maker} (one-person mode / โหมดผู้ทำคนเดียว)",
            "จัดทำเมื่อ / Made at": self.made_at,
            "หน่วยงาน / Office": self.site_name,
            "ซอฟต์แวร์ / Software": self.software,
            "ข้อมูลที่แนบ / Included": (
                "the whole chunks that hold the cited records, other records in them included / "
                "ก้อนข้อมูลทั้งก้อนที่มีระเบียนที่อ้างถึง รวมระเบียนอื่นในก้อนเดียวกัน"
            ),
        }


def refuse_former_logs(origin: str, answer: dict[str, Any]) -> None:
    """All of a package is proven under one checkpoint. Raises AskError `former_log` for a record of another log."""
    steps = [step for candidate in answer["candidates"] for step in candidate["steps"]]
    if others := sorted({str(one.get("log") or origin) for one in [*steps, *answer["losses"]]} - {origin}):
        raise AskError(FORMER_LOG.format(log=others[0]), code="former_log")


def cited_records(answer: dict[str, Any]) -> list[tuple[int, int]]:
    """(leaf, row) of every record the answer cites, losses included, each once, in order."""
    steps = [step for candidate in answer["candidates"] for step in candidate["steps"]]
    places = {(s["leaf_index"], s["row"]) for s in [*steps, *answer["losses"]] if s["leaf_index"] is not None}
    return sorted(places)


def build_bag(paths: ArchivePaths, answer: dict[str, Any], facts: PackageFacts) -> dict[str, bytes]:
    """Every file but the signature. Raises ArchiveIntegrityError when a chunk is not what its leaf says, AskError
    `former_log`."""
    answer = _with_records_at_hand(paths, answer)
    refuse_former_logs(paths.origin(), answer)
    cited = cited_records(answer)
    leaves = sorted({KEY_LEAF, *(leaf for leaf, _ in cited)})
    proofs = prove_leaves(paths, leaves)
    payload: dict[str, bytes] = {}
    tables = {}
    for index in leaves:
        proof = proofs[index]
        payload[f"data/leaves/{index}.json"] = proof["leaf"].encode()
        payload[f"data/proofs/{index}.tlog-proof"] = format_tlog_proof(proof).encode()
        leaf = decode_leaf(proof["leaf"].encode())
        if "segment" in leaf:
            stored = read_stored_chunk(paths.segments, stored_chunk(leaf))
            payload[chunk_name(index)] = stored
            tables[index] = decode_chunk(stored)
    for index, row in cited:
        if index not in tables or not 0 <= row < tables[index].num_rows:
            raise ArchiveIntegrityError(f"leaf {index} has no record {row}", code="cited_record_missing")
        payload[raw_name(index, row)] = tables[index].column("payload")[row].as_py()
    certificate = (paths.log / "package.crt").read_bytes()
    fingerprint = x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex()
    payload |= {
        "data/answer.csv": answer_csv(answer),
        "data/answer.json": answer_json(answer),
        "data/answer.txt": answer_text(answer, facts.lines()),
        "data/dictionary.csv": dictionary_csv(),
        "data/checkpoint": proofs[KEY_LEAF]["checkpoint"].encode(),
        "data/keys/log.vkey": (paths.log / "key.vkey").read_bytes(),
        "data/keys/package.crt": certificate,
    }
    tags = {
        "VERIFY.txt": VERIFY_TXT.format(origin=paths.origin(), fingerprint=fingerprint).encode(),
        "verify_package.py": (Path(__file__).parent / "verify_package.py").read_bytes(),
    }
    info = {
        "Source-Organization": facts.site_name,
        "Bagging-Date": facts.made_at[:10],
        "External-Identifier": facts.identifier,
        "External-Description": facts.title or "answer to an attribution question",
        "Bag-Software-Agent": facts.software,
    }
    return make_bag(payload, tags, {name: _one_line(value) for name, value in info.items()})


def _with_records_at_hand(paths: ArchivePaths, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, with the record that carries an original in its place where the original's segment is gone or
    lies in an earlier log."""
    leaves, origin = LeafReader(paths), paths.origin()

    def at_hand(step: dict[str, Any]) -> dict[str, Any]:
        carried = step.get("carried_leaf_index")
        if carried is None or (step.get("carried_log") or origin) != origin:
            return step
        is_own = (step.get("log") or origin) == origin
        if is_own and (paths.segments / leaves.leaf(step["leaf_index"])["segment"]).exists():
            return step
        return {**step, "log": origin, "leaf_index": carried, "row": step["carried_row"]}

    candidates = [{**one, "steps": [at_hand(step) for step in one["steps"]]} for one in answer["candidates"]]
    return {**answer, "candidates": candidates}


def _one_line(text: str) -> str:
    return " ".join(text.split())


def encode_request(tag_manifest: bytes, leaf_index: int, row: int) -> dict[str, Any]:
    """Arguments of the sealer's `sign_package`: what to sign, and the sealed approval for it."""
    return {
        "tag_manifest_base64": base64.b64encode(tag_manifest).decode(),
        "approval_leaf_index": leaf_index,
        "approval_row": row,
    }
