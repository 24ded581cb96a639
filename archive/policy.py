"""C2SP tlog-policy: which logs and witnesses are trusted, and how many of the witnesses must have cosigned. Pure.

Text of lines; items are separated by spaces or tabs. Stricter than tlog-policy in one point: the text is UTF-8, which
it only recommends.
"""

import re
from collections.abc import Set
from dataclasses import dataclass, field

from archive.cosignature import WitnessKey, parse_witness_key
from archive.errors import ArchiveFormatError
from archive.note import VerifierKey, parse_verifier_key

MAX_POLICY_BYTES = 256 * 1024
"""Far above 32 logs, 32 witnesses and 32 groups, which tlog-policy asks for, with long names and addresses."""
MAX_OF_A_KIND = 256
"""Logs, witnesses or groups."""
NO_QUORUM = "none"
_NUMBER = re.compile(r"[1-9][0-9]{0,5}\Z", re.ASCII)
_SPACE = re.compile(r"[ \t]+")
_FORMS = {
    "log": "log <vkey> [<url>]",
    "witness": "witness <name> <vkey> [<url>]",
    "group": "group <name> all|any|<k> <member>...",
    "quorum": "quorum <name>|none",
}


@dataclass(frozen=True)
class PolicyLog:
    """A trusted log; the key's name is its origin. `url` is empty where none is given."""

    key: VerifierKey
    url: str = ""


@dataclass(frozen=True)
class PolicyWitness:
    """A witness under the name that this policy gives it, which may differ from its key's name."""

    name: str
    key: WitnessKey
    url: str = ""


@dataclass(frozen=True)
class PolicyGroup:
    """Witnesses a checkpoint once at least `threshold` of `members`, witnesses or earlier groups, have."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """A parsed policy; groups are in the order of the text, each after its members."""

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...]
    groups: tuple[PolicyGroup, ...]
    quorum: str


def is_quorum_met(policy: Policy, cosigned: Set[str]) -> bool:
    """Whether the witnesses of these names (as the policy gives them) suffice; other names count for nothing."""
    if policy.quorum == NO_QUORUM:
        return True
    met = {witness.name for witness in policy.witnesses} & cosigned
    for group in policy.groups:
        if len(met.intersection(group.members)) >= group.threshold:
            met.add(group.name)
    return policy.quorum in met


def format_policy(policy: Policy) -> bytes:
    """The text of `policy`. Raises ArchiveFormatError for one that parse_policy would not give back."""
    lines = [" ".join(filter(None, ("log", log.key.text(), log.url))) for log in policy.logs]
    lines += [" ".join(filter(None, ("witness", w.name, w.key.text(), w.url))) for w in policy.witnesses]
    lines += [f"group {group.name} {group.threshold} {' '.join(group.members)}" for group in policy.groups]
    text = "".join(f"{line}\n" for line in [*lines, f"quorum {policy.quorum}"]).encode()
    if parse_policy(text) != policy:
        raise ArchiveFormatError("policy has names or addresses that its text cannot hold")
    return text


def parse_policy(data: bytes) -> Policy:
    """Parse a policy. Raises ArchiveFormatError with one sentence that names the line."""
    if len(data) > MAX_POLICY_BYTES:
        raise ArchiveFormatError(f"policy is longer than {MAX_POLICY_BYTES} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArchiveFormatError("policy is not UTF-8") from error
    if not text.endswith("\n"):
        raise ArchiveFormatError("policy does not end in a newline")
    reader = _Reader()
    for number, line in enumerate(text[:-1].split("\n"), 1):
        try:
            reader.read_line(line)
        except ArchiveFormatError as error:
            raise ArchiveFormatError(f"policy, line {number}: {error}") from error
    if reader.quorum is None:
        raise ArchiveFormatError("policy has no quorum line; `quorum none` asks for no witness")
    return Policy(tuple(reader.logs), tuple(reader.witnesses), tuple(reader.groups), reader.quorum)


@dataclass
class _Reader:
    """What the lines so far have defined."""

    logs: list[PolicyLog] = field(default_factory=list)
    witnesses: list[PolicyWitness] = field(default_factory=list)
    groups: list[PolicyGroup] = field(default_factory=list)
    quorum: str | None = None
    names: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)

    def read_line(self, line: str) -> None:
        if any((ord(character) < 0x20 and character != "\t") or ord(character) == 0x7F for character in line):
            raise ArchiveFormatError("it holds a control character other than tab")
        items = _SPACE.split(line.strip(" \t"))
        if not items[0] or items[0].startswith("#"):
            return
        keyword, *rest = items
        if keyword == "log" and len(rest) in (1, 2):
            self._add_log(*rest)
        elif keyword == "witness" and len(rest) in (2, 3):
            self._add_witness(*rest)
        elif keyword == "group" and len(rest) >= 3:
            self._add_group(rest[0], rest[1], rest[2:])
        elif keyword == "quorum" and len(rest) == 1:
            self._set_quorum(rest[0])
        elif keyword in _FORMS:
            raise ArchiveFormatError(f"valid is `{_FORMS[keyword]}`")
        else:
            raise ArchiveFormatError(f"{keyword!r} is none of log, witness, group, quorum")

    def _add_log(self, key_text: str, url: str = "") -> None:
        key = parse_verifier_key(key_text)
        if any(log.key.public_key == key.public_key for log in self.logs):
            raise ArchiveFormatError("a log with this key is on an earlier line")
        _require_room(self.logs)
        self.logs.append(PolicyLog(key, url))

    def _add_witness(self, name: str, key_text: str, url: str = "") -> None:
        key = parse_witness_key(key_text)
        if any(witness.key.public_key == key.public_key for witness in self.witnesses):
            raise ArchiveFormatError("a witness with this key is on an earlier line")
        _require_room(self.witnesses)
        self._define(name)
        self.witnesses.append(PolicyWitness(name, key, url))

    def _add_group(self, name: str, threshold: str, members: list[str]) -> None:
        for member in members:
            if member not in self.names:
                raise ArchiveFormatError(f"{member!r} is no witness or group of an earlier line")
            if member in self.members:
                raise ArchiveFormatError(f"{member!r} is a member of a group already")
            self.members.add(member)
        count = {"all": len(members), "any": 1}.get(threshold)
        if count is None:
            count = int(threshold) if _NUMBER.match(threshold) else 0
        if not 1 <= count <= len(members):
            raise ArchiveFormatError(f"{threshold!r} is not all, any or a number from 1 to {len(members)}")
        _require_room(self.groups)
        self._define(name)
        self.groups.append(PolicyGroup(name, count, tuple(members)))

    def _define(self, name: str) -> None:
        if name == NO_QUORUM:
            raise ArchiveFormatError(f"the name {NO_QUORUM!r} has a meaning of its own")
        if name in self.names:
            raise ArchiveFormatError(f"{name!r} is defined on an earlier line")
        self.names.add(name)

    def _set_quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise ArchiveFormatError("there is a quorum line already")
        if name != NO_QUORUM and name not in self.names:
            raise ArchiveFormatError(f"{name!r} is no witness or group of an earlier line")
        self.quorum = name


def _require_room(defined: list) -> None:
    if len(defined) >= MAX_OF_A_KIND:
        raise ArchiveFormatError(f"there are more than {MAX_OF_A_KIND} of its kind")
