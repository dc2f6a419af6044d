"""The table of the README says in one word what docs/comparison.md says with its source."""

from __future__ import annotations

import re

from tests.markdown import ROOT, read

MARKS = {"\N{EN DASH}": "not found"}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def table_of_the_readme() -> dict[str, dict[str, str]]:
    """Feature → word, for each project of the README's table."""
    section = read(ROOT / "README.md").split("## Compared with others")[1].split("\n## ")[0]
    header, _, *rows = [cells(line) for line in section.splitlines() if line.startswith("|")]
    return {
        project: {row[0]: MARKS.get(row[column], row[column]) for row in rows}
        for column, project in enumerate(header[1:], start=1)
    }


def tables_of_the_page() -> dict[str, list[list[str]]]:
    """The rows of each project: feature, word, note, where it was read."""
    sections = re.split(r"^## (.+)$", read(ROOT / "docs/comparison.md"), flags=re.MULTILINE)
    tables = {}
    for title, text in zip(sections[1::2], sections[2::2], strict=True):
        if "| | | | where |" in text:
            rows = text.split("|---|---|---|---|\n")[1].splitlines()
            tables[title.split()[0]] = [cells(row) for row in rows if row.startswith("|")]
    return tables


def test_the_readme_and_the_page_agree() -> None:
    page = {
        project: {feature: word for feature, word, *_ in rows}
        for project, rows in tables_of_the_page().items()
    }
    assert table_of_the_readme() == page


def test_each_word_has_its_source_and_each_condition_is_named() -> None:
    for project, rows in tables_of_the_page().items():
        for feature, word, note, where in rows:
            assert word in ("yes", "partly", "no", "not found"), (project, feature)
            assert where or word == "not found", (project, feature)
            assert note or word != "partly", (project, feature)
