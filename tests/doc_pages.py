"""The pages of the documentation, taken apart into their blocks of code."""

from __future__ import annotations

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+?) -->\n+)?"
    r"(?P<indent> *)```(?P<language>[a-z]*)(?: title=\"(?P<title>[^\"]+)\")?\n"
    r"(?P<text>.*?)^ *```$",
    flags=re.DOTALL | re.MULTILINE,
)
_INDENTED = re.compile(r"(?:^\n)((?:^(?:    .*)?\n)+)", flags=re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: where it stands, relative to the root.
        line: its first line there.
        language: empty where none is said.
        title: the file that it is to be written to; empty where it is none.
        not_run: why it cannot be run here; empty where it can.
        text: without the fence.
    """

    page: str
    line: int
    language: str
    title: str
    not_run: str
    text: str

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.page}:{self.line}"

    def commands(self) -> list[list[str]]:
        """Its commands as words of a shell; where output goes is left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        parts = [part for line in lines for part in re.split(r" (?:\|\|?|&&|;) ", line)]
        texts = [re.sub(r" >.*", "", part) for part in parts]
        return [words for text in texts if (words := shlex.split(text, comments=True))]


def blocks_of(path: Path) -> list[Block]:
    """Fenced blocks and blocks that are indented by four, in order."""
    text = path.read_text(encoding="utf-8")
    page = str(path.relative_to(ROOT))
    found = []
    for match in _FENCE.finditer(text):
        start = text[: match.start("text")].count("\n") + 1
        code = textwrap.dedent(match["text"])
        said = (match[name] or "" for name in ("language", "title", "why"))
        found.append(Block(page, start, *said, code))
    # Of the same length, so that lines keep their numbers.
    rest = _FENCE.sub(lambda match: re.sub(r"[^\n]", "x", match[0]), text)
    for match in _INDENTED.finditer(rest):
        if match[1].strip():
            start = rest[: match.start(1)].count("\n") + 1
            found.append(Block(page, start, "", "", "", textwrap.dedent(match[1])))
    return sorted(found, key=lambda block: block.line)


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def inline_commands() -> list[tuple[str, list[str]]]:
    """Commands of Lutier in the text of the pages, with the page."""
    found = []
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        texts = re.findall(r"(?<!`)`(lutier [^`]+)`", page.read_text(encoding="utf-8"))
        found += [(name, shlex.split(text.replace("\n", " "))) for text in texts]
    return found


def of_language(*languages: str) -> list[Block]:
    """All blocks in one of some languages."""
    return [block for block in BLOCKS if block.language in languages]
