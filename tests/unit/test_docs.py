"""README and docs: links, paths and commands named there exist, and the README stays short."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])
README_WORDS = 1200
HISTORY = ("CHANGELOG.md", "results.md")
"""Pages that keep the paths and commands of their time."""
FOLDERS = "helpers|tasks|commands|preprocessing|benchmarks|studies|examples|tests|docs"
CODE_BLOCK = re.compile(r"^```.*?^```\s*$", re.MULTILINE | re.DOTALL)


def without_code(text: str) -> str:
    """Return a page without its code blocks."""
    return CODE_BLOCK.sub("", text)


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Return the relative links of a page without a target."""
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text()))
    return [link for link in links if "://" not in link and not resolves(page, link)]


def resolves(page: Path, link: str) -> bool:
    """Whether a relative link leads to a file and, where it has one, to an anchor in it."""
    file, _, anchor = link.partition("#")
    target = page.parent / file if file else page
    return target.exists() and (not anchor or anchor in anchors(target.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page):
    assert broken_links(page) == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name not in HISTORY], ids=lambda page: str(page.relative_to(ROOT))
)
def test_named_files_exist(page):
    text = page.read_text()
    paths = re.findall(rf"(?<![\w/.])(?:(?:{FOLDERS})/[\w/.-]*\w\.(?:py|md|ipynb))\b", text)
    paths += re.findall(r"\bpython (\w[\w/.-]*\.py)\b", text)
    assert [path for path in paths if "NAME" not in path and not (ROOT / path).exists()] == []


def test_named_commands_exist():
    shown = subprocess.run([sys.executable, "run.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    pages = "\n".join(page.read_text() for page in PAGES if page.name not in HISTORY)
    named = set(re.findall(r"(?:python run\.py|breast-training) ([a-z]+)\b", pages))
    assert len(named) > 9
    listed = set(re.findall(r"^ +(?:python run\.py )?([a-z]+)\b", shown.stdout, re.MULTILINE))
    assert named - listed == set()


def test_the_readme_is_short():
    assert len(without_code((ROOT / "README.md").read_text()).split()) <= README_WORDS


def test_the_readme_says_that_this_is_no_medical_device():
    head = (ROOT / "README.md").read_text()[:600]
    assert "This is research software, not a medical device." in head


def test_the_checks_catch(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A head: here\n[ok](page.md#a-head-here) [bad](none.md) [worse](#nowhere) [out](https://x.y)\n"
    )
    assert broken_links(page) == ["none.md", "#nowhere"]
    assert without_code("a\n```bash\nb\n```\nc").split() == ["a", "c"]
