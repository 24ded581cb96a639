"""The notice as a data file."""

from pathlib import Path

import pytest

from authgw.errors import AuthgwError
from authgw.portal.terms import SHIPPED, load_terms
from tests.authgw.portal.portal_pages import Portal


def test_a_changed_file_changes_the_page_and_the_recorded_version(tmp_path: Path) -> None:
    changed = tmp_path / "terms.toml"
    text = SHIPPED.read_text(encoding="utf-8")
    changed.write_text(text.replace(load_terms().version, "2570-1-1").replace("เก็บอะไร", "จดอะไรไว้"), encoding="utf-8")
    with Portal(tmp_path / "p", terms=load_terms(changed)) as portal:
        page = portal.browser().get("/terms").text
        assert "2570-1-1" in page
        assert "จดอะไรไว้" in page
        portal.browser().log_in()
        assert portal.events()[0]["details"]["terms_version"] == "2570-1-1"


def test_the_version_is_the_one_that_was_shown(tmp_path: Path) -> None:
    old = Portal(tmp_path).open()
    form = old.browser().form()
    old.close()
    changed = tmp_path / "terms.toml"
    changed.write_text(SHIPPED.read_text(encoding="utf-8").replace(old.terms.version, "2570-1-1"), encoding="utf-8")
    with Portal(tmp_path, clock=old.clock, terms=load_terms(changed)) as portal:
        portal.browser().post("/login", {**form, "username": "somchai", "password": "correct horse 1"})
        assert portal.events()[0]["details"]["terms_version"] == old.terms.version


@pytest.mark.parametrize(
    ("find", "put"),
    [
        ('version = "', 'version = 1 # "'),
        ("{days}", "{day}"),
        ("en_title", "en_titel"),
        ("[[section]]", "[[section]"),
    ],
)
def test_a_broken_file_is_refused_with_a_sentence(tmp_path: Path, find: str, put: str) -> None:
    path = tmp_path / "terms.toml"
    path.write_text(SHIPPED.read_text(encoding="utf-8").replace(find, put, 1), encoding="utf-8")
    with pytest.raises(AuthgwError) as caught:
        load_terms(path)
    assert caught.value.code == "bad_terms"
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(AuthgwError, match="cannot be used"):
        load_terms(tmp_path / "none.toml")
