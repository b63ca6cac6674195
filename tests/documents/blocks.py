"""Fenced code blocks of Markdown files."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: ((?:(?!-->).)+) -->\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        language: after the fence.
        not_run: the reason in the comment before it, "<!-- not run: REASON -->"; "" where there is
            none.
    """

    page: Path
    line: int
    language: str
    code: str
    not_run: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    text, found = page.read_text("utf-8"), []
    for match in FENCE.finditer(text):
        before = text[: match.start()]
        comment = NOT_RUN.search(before)
        reason = " ".join(comment[1].split()) if comment else ""
        found.append(Block(page, before.count("\n") + 1, *match.groups(), reason))
    return found
