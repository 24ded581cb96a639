"""Documents are compared with the code they speak of."""

import re
import tomllib
from pathlib import Path

import click

from admin_ui.metrics import METRICS
from admin_ui.words import VOCABULARIES
from archive.alarms import ALARMS
from archive.attribution.certainty import NO_RECORD, SENTENCES, Certainty
from archive.query.parse import FIELDS
from deploy.cli import main
from deploy.settings_doc import settings_document

REPOSITORY = Path(__file__).parents[2]
CONTRACT = (REPOSITORY / "docs/CONTRACT.md").read_text(encoding="utf-8")


def test_settings_page_is_what_the_code_makes() -> None:
    assert (REPOSITORY / "docs/SETTINGS.md").read_text(encoding="utf-8") == settings_document()


def test_every_command_is_in_the_contract_and_the_other_way_round() -> None:
    documented = set(re.findall(r"^\| `phayan ([a-z-]+)` \|", CONTRACT, re.MULTILINE))
    assert documented == set(main.commands)


def test_every_certainty_alarm_and_search_field_is_documented() -> None:
    for certainty in Certainty:
        assert re.search(rf"^\| `{certainty}` \|", CONTRACT, re.MULTILINE), certainty
        assert certainty in SENTENCES
    assert NO_RECORD in CONTRACT
    for code in ALARMS:
        assert f"`{code}`" in CONTRACT, code
    for field in FIELDS:
        assert f"`{field}`" in CONTRACT, field


def test_every_metric_is_documented_as_it_is() -> None:
    documented = re.findall(r"^\| `(phayan_[a-z_]+)` \| (\w+) \| (.*?) \| (.+) \|$", CONTRACT, re.MULTILINE)
    assert documented == [
        (metric.name, metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.meaning)
        for metric in METRICS
    ]


def test_every_way_to_lose_a_record_has_words_on_the_pages() -> None:
    table = CONTRACT[CONTRACT.index("## Losses") : CONTRACT.index("## Status")]
    documented = {
        how for row in re.findall(r"^\| (`.+?`) \|", table, re.MULTILINE) for how in re.findall(r"`([a-z_]+)`", row)
    }
    assert documented - {"how"} == VOCABULARIES["loss"].keys() - {"restart", "outage"}


def test_commands_of_the_readmes_exist_with_their_options() -> None:
    for name in ("README.md", "README.th.md"):
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        lines = re.findall(r"^\.venv/bin/phayan (.+)$", text, re.MULTILINE)
        assert len(lines) >= 5, name
        for line in lines:
            words = line.split()
            command: click.Command = main.commands[words[0]]
            if isinstance(command, click.Group) and len(words) > 1:
                command = command.commands[words[1]]
            known = {option for parameter in command.params for option in parameter.opts}
            for option in re.findall(r"(--[a-z-]+)", line):
                assert option in known, f"{name}: {line}"


def test_readmes_name_the_two_commands_first() -> None:
    for name in ("README.md", "README.th.md"):
        first_screen = "\n".join((REPOSITORY / name).read_text(encoding="utf-8").splitlines()[:20])
        assert "make up" in first_screen
        assert "make test" in first_screen


def test_links_of_documents_lead_somewhere() -> None:
    for path in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_requirements_table_is_whole_and_its_tests_exist() -> None:
    table = tomllib.loads((REPOSITORY / "tests/requirements.toml").read_text(encoding="utf-8"))
    expected = [f"S{n}" for n in range(1, 18)] + [f"R{n:02d}" for n in range(1, 86)]
    assert sorted(table) == sorted(expected)
    for row, entry in table.items():
        if entry["state"] == "open":
            assert entry["reason"], row
            continue
        assert entry["state"] in ("shown", "partly"), row
        for test in entry["tests"]:
            file, _, name = test.partition("::")
            assert f"def {name}(" in (REPOSITORY / file).read_text(encoding="utf-8"), f"{row}: {test}"
        if entry["state"] == "partly":
            assert entry["reason"], row


def test_threat_table_is_whole_and_its_tests_exist() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    start = text.index("## Threats and the tests that show them")
    section = text[start : text.index("\n## ", start + 1)]
    rows = re.findall(r"^\| (\d+) \|.*\| (`.+?`) \|", section, re.MULTILINE)
    assert {int(number) for number, _ in rows} == {*range(1, 21)}
    for number, cell in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", cell)
        assert named, number
        for file, test in named:
            assert f"def {test}(" in (REPOSITORY / file).read_text(encoding="utf-8"), f"{number}: {file}::{test}"


def test_no_text_claims_a_certification_or_names_this_place() -> None:
    for path in REPOSITORY.rglob("*"):
        if path.suffix not in (".py", ".md", ".toml", ".html", ".sh") or ".venv" in path.parts or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        if path != Path(__file__):
            assert not re.search(
                r"certified (to|by|under)|ผ่านการรับรองมาตรฐาน", text.replace("not certified to any", "")
            ), path
