"""What stands in README, docs/, CONTRIBUTING and CHANGELOG, taken apart for the tests."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")))

_FENCE = re.compile(r"^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block. `line` is where its text begins."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def id(self) -> str:
        """For messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(language: str) -> list[Block]:
    """All fenced blocks of a language, page by page."""
    return [one for page in PAGES for one in blocks_of(page) if one.language == language]


def blocks_of(page: Path) -> Iterator[Block]:
    """The fenced blocks of one page."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 2
        yield Block(page=page, line=line, language=found["language"], text=found["text"])


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Where a page points to, outside of its blocks."""
    return [found["target"] for found in _LINK.finditer(prose(page))]


def anchors(page: Path) -> set[str]:
    """What `#anchor` may name on a page, as GitHub makes it from headings."""
    return {_anchor(found["title"]) for found in _HEADING.finditer(prose(page))}


def _anchor(title: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", title.replace("`", "").lower())
    return kept.strip().replace(" ", "-")


def section(page: Path, heading: str) -> str:
    """The text below a heading, up to the next one of its rank or above."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found is not None, f"{page.name} has no heading {heading!r}"
    rank = len(found[1])
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{rank}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def table(text: str) -> list[list[str]]:
    """The rows of all tables of a text, without heads; backticks taken off a cell that is nothing else."""
    kept: list[list[str]] = []
    for line in text.splitlines():
        if re.fullmatch(r"(\| -+ |\|-+)+\|", line):
            kept.pop()
        elif line.startswith("|"):
            kept.append([_bare(cell.strip()) for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return kept


def _bare(cell: str) -> str:
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == "`" and cell.count("`") == 2 else cell


def calls(page: Path, program: str) -> Iterator[tuple[str, list[str]]]:
    """Every call that a reader may copy: where, and its arguments. From indented lines, `sh` blocks and comments."""
    for number, line in _lines_of_shell(page):
        for part in _parts(line):
            words = _words(part)
            if words[:1] == [program]:
                yield f"{page.relative_to(ROOT)}:{number}", words[1:]


def _lines_of_shell(page: Path) -> Iterator[tuple[int, str]]:
    fence = ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if page.suffix == ".yaml":
            if line.startswith("#"):
                yield number, line.removeprefix("#").strip().removeprefix("Simpler: ")
        elif line.startswith("```"):
            fence = "" if fence else line
        elif fence == "```sh" or (not fence and line.startswith("    ")):
            yield number, line.strip()


def _parts(line: str) -> Iterator[str]:
    """The commands on a line; what stands three blanks or a # behind one explains it."""
    line = re.split(r"\s{3,}|\s+#", line)[0]
    for inner in (line, *re.findall(r"\$\(([^()]+)\)", line)):
        for part in re.split(r"\s(?:\||&&|&)(?:\s|$)", inner):
            yield re.sub(r"\s2> .*$", "", part)


def mentions(page: Path, program: str) -> Iterator[tuple[str, list[str]]]:
    """Every `code` of prose that names a command: where, and its words."""
    text = page.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        for said in _INLINE.findall(line):
            words = _words(said)
            if words[:1] == [program]:
                yield f"{page.relative_to(ROOT)}:{number}", words[1:]


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return []
