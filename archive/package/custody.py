"""data/custody.jsonld: who handled what, when and for what purpose, in CASE 1.4 / UCO as JSON-LD. Pure.

Hand-overs and downloads after the making are in the case register; a package holds those until it was made.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from archive.package.content import PackageContent
from archive.package.letter_case import approver_of, is_one_person

CONTEXT = {
    "action": "https://ontology.unifiedcyberontology.org/uco/action/",
    "core": "https://ontology.unifiedcyberontology.org/uco/core/",
    "identity": "https://ontology.unifiedcyberontology.org/uco/identity/",
    "investigation": "https://ontology.caseontology.org/case/investigation/",
    "observable": "https://ontology.unifiedcyberontology.org/uco/observable/",
    "tool": "https://ontology.unifiedcyberontology.org/uco/tool/",
    "types": "https://ontology.unifiedcyberontology.org/uco/types/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
_ROOT = uuid.UUID("6f1d2c0e-5c1b-5b0e-9a44-4c7a3b6d9e10")
"""Names of nodes are version 5 UUIDs below it: the same content makes the same file."""

Node = dict[str, Any]


def custody(content: PackageContent, files: Mapping[str, bytes]) -> bytes:
    """`files` are the payload files of the bag but this one, by name."""
    return _Custody(content, files).write()


class _Custody:
    def __init__(self, content: PackageContent, files: Mapping[str, bytes]) -> None:
        self._content, self._facts, self._case = content, content.facts, content.facts.case
        self._files = files
        self._nodes: dict[str, Node] = {}

    def write(self) -> bytes:
        made = [self._file(name, data) for name, data in sorted(self._files.items())]
        record = self._add(
            "ProvenanceRecord",
            "investigation:ProvenanceRecord",
            "files",
            {
                "core:description": f"evidence package {self._facts.identifier}: {self._facts.title}".rstrip(": "),
                "investigation:exhibitNumber": self._facts.identifier,
                "core:object": made,
            },
        )
        request = self._request(record)
        actions = [*request, self._export(record), *self._handling(record)]
        authorization = self._authorization()
        investigation: Node = {
            "core:name": str(self._case.get("id") or self._facts.identifier),
            "core:description": str(self._case.get("title") or self._facts.title or self._facts.reason),
            "investigation:focus": "computer traffic data",
            "core:object": [record, *actions],
        }
        if authorization:
            investigation["investigation:relevantAuthorization"] = [authorization]
        self._add("Investigation", "investigation:Investigation", "case", investigation)
        stored = {"@context": {"kb": "http://phayan.invalid/kb/", **CONTEXT}, "@graph": list(self._nodes.values())}
        return (json.dumps(stored, ensure_ascii=False, indent=1) + "\n").encode()

    def _add(self, kind: str, type_name: str, key: str, values: Node) -> Node:
        """A node of the graph; returns a reference to it. The same kind and key are one node."""
        name = f"kb:{kind}-{uuid.uuid5(_ROOT, f'{self._facts.identifier} {kind} {key}')}"
        self._nodes[name] = {"@id": name, "@type": type_name, **values}
        return {"@id": name}

    def _part(self, kind: str, key: str) -> str:
        return f"kb:{kind}-{uuid.uuid5(_ROOT, f'{self._facts.identifier} {kind} {key}')}"

    def _person(self, name: str) -> Node:
        return self._add("Person", "identity:Person", name, {"core:name": name})

    def _office(self, name: str) -> Node:
        return self._add("Organization", "identity:Organization", name, {"core:name": name})

    def _tool(self) -> Node:
        versions = ", ".join(f"{name}: {value}" for name, value in sorted(self._content.versions.items()))
        values = {"core:name": "Phayan", "tool:version": self._facts.software, "core:description": versions}
        return self._add("Tool", "tool:Tool", "phayan", values)

    def _file(self, name: str, data: bytes) -> Node:
        digest = hashlib.sha256(data).hexdigest()
        hashed = {
            "@id": self._part("Hash", name),
            "@type": "types:Hash",
            "types:hashMethod": "SHA256",
            "types:hashValue": {"@type": "xsd:hexBinary", "@value": digest},
        }
        facets = [
            {
                "@id": self._part("FileFacet", name),
                "@type": "observable:FileFacet",
                "observable:fileName": name.rpartition("/")[2],
                "observable:filePath": name,
                "observable:sizeInBytes": {"@type": "xsd:integer", "@value": str(len(data))},
            },
            {
                "@id": self._part("ContentDataFacet", name),
                "@type": "observable:ContentDataFacet",
                "observable:hash": [hashed],
            },
        ]
        return self._add("File", "observable:File", name, {"core:hasFacet": facets})

    def _authorization(self) -> Node | None:
        """The legal basis: the letter's number and the ground, as the case states them."""
        letter = str(self._case.get("letter") or "")
        if not letter:
            return None
        ground = self._case.get("ground") or {}
        items = ", ".join(str(item["number"]) for item in self._case.get("legal_items", ()))
        values = {
            "investigation:authorizationIdentifier": [letter],
            "investigation:authorizationType": str(ground.get("code") or "request"),
            "core:description": f"{ground.get('en', '')}; items: {items or 'none'}; "
            f"court order: {self._case.get('court_order') or 'none'}",
        }
        return self._add("Authorization", "investigation:Authorization", letter, values)

    def _request(self, record: Node) -> list[Node]:
        """That somebody asked, and who approved, where the case says so."""
        found = []
        if self._case.get("officer") and self._case.get("received"):
            officer = self._person(str(self._case["officer"]))
            arguments = {"letter": self._case.get("letter"), "unit": self._case.get("unit")}
            found.append(
                self._action("request", "request for data", self._case["received"], officer, record, arguments)
            )
        approver = approver_of(self._case)
        if approver and self._case.get("approved"):
            arguments = {"one_person_mode": is_one_person(self._case)}
            found.append(
                self._action("approval", "approval", self._case["approved"], self._person(approver), record, arguments)
            )
        return found

    def _export(self, record: Node) -> Node:
        facts, content = self._facts, self._content
        asked = {f"query.{name}": value for name, value in content.answer["asked"].items()}
        arguments = {
            "export_id": facts.identifier,
            "legal_basis": self._case.get("letter") or facts.reason,
            "purpose": facts.reason,
            "requester": self._case.get("officer"),
            "approver": approver_of(self._case),
            "exporter": facts.maker,
            "one_person_mode": is_one_person(self._case),
            **asked,
            "certainty": content.answer["certainty"],
            **{f"count.{name}": value for name, value in content.counts().items()},
            **{f"left_out.{name}": value for name, value in sorted(content.withheld.items())},
            "left_out.why": "other people's data, outside of what was asked for",
            "software": facts.software,
            "certificate_sha256": content.certificate_sha256,
            **{f"clock.log{one['log']}.leaf{one['leaf']}": _clock(one) for one in content.clock},
            **_anchors(content),
        }
        return self._action("export", "export", facts.made_at, self._person(facts.maker), record, arguments)

    def _handling(self, record: Node) -> list[Node]:
        """Earlier packages, hand-overs and downloads of the case."""
        found = []
        for kind in ("packages", "hand_overs", "downloads"):
            for number, told in enumerate(self._case.get(kind, ())):
                arguments = {name: value for name, value in told["values"].items() if name != "counts"}
                purpose = f"{kind.removesuffix('s').replace('_', '-')} of the case"
                by = self._person(str(told["actor"]))
                found.append(self._action(f"{kind}{number}", purpose, told["time"], by, record, arguments))
        return found

    def _action(
        self, key: str, name: str, moment: str, performer: Node, record: Node, arguments: Mapping[str, Any]
    ) -> Node:
        moment_value = {"@type": "xsd:dateTime", "@value": moment}
        facets = [
            {
                "@id": self._part("ActionArgumentFacet", f"{key} {argument}"),
                "@type": "action:ActionArgumentFacet",
                "action:argumentName": argument,
                "action:value": str(value),
            }
            for argument, value in arguments.items()
            if value not in (None, "")
        ]
        values: Node = {
            "core:name": name,
            "core:description": self._facts.reason,
            "action:startTime": moment_value,
            "action:endTime": moment_value,
            "action:performer": performer,
            "action:environment": self._office(self._facts.site_name),
            "core:hasFacet": facets,
        }
        if key == "export":
            values |= {"action:instrument": [self._tool()], "action:result": [record]}
        else:
            values["action:object"] = [record]
        return self._add("InvestigativeAction", "investigation:InvestigativeAction", key, values)


def _clock(one: dict[str, Any]) -> str:
    samples = one.get("samples") or [{}]
    return json.dumps(samples[-1], sort_keys=True)


def _anchors(content: PackageContent) -> dict[str, str]:
    found = {}
    for side, times in (("before", content.outside_before), ("after", content.outside_after)):
        for number, one in enumerate(times, 1):
            found[f"anchor.{side}.{number}"] = f"{one.by} {one.name} log {one.log} size {one.size} {one.unix_ns}"
    return found or {"anchor": "none"}
