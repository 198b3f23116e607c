"""The pages for people (README.md, CONTRIBUTING.md, docs/) as what they claim: code, links, anchors, commands.

A block that no test can run says why in a comment right before it: <!-- not run: REASON -->. Blocks of docs/recipes
that are files (a second word after the language) are the business of tests.recipes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
LANGUAGES: Final = frozenset(
    {"console", "ini", "js", "json", "mermaid", "promql", "python", "sh", "sql", "text", "toml", "ts", "yaml", ""}
)
"""What a fence may be marked as; the empty one is for what a program says."""
_FENCE: Final = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+) -->\n)?(?P<indent> *)```(?P<language>\w*)(?: +(?P<file>[\w./-]+))?\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_LINK: Final = re.compile(r"(?<!!)\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)")
_BEFORE: Final = frozenset({"sudo", "exec", "if", "then", "do", "while", "until", "!"})
_SEPARATORS: Final = frozenset({"&&", "||", ";", "|", "&", ">", ">>", "<", "2>&1"})


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    file: str
    """Its name where it is a file of a recipe."""
    text: str
    not_run: str
    """Why no test runs it; "" where one does."""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """All of them."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(*languages: str) -> list[Block]:
    """Those in one of *languages* on any page."""
    return [block for page in pages() for block in blocks_of(page) if block.language in languages]


def blocks_of(page: Path) -> list[Block]:
    """Those of one page."""
    text = page.read_text()
    return [
        Block(
            page,
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            found["file"] or "",
            re.sub(f"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            found["why"] or "",
        )
        for found in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """What is not in a fenced block."""
    return _FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """What can stand behind # in a link to it, as GitHub makes it of headings; and what is named by hand."""
    found: set[str] = set(re.findall(r'<a (?:id|name)="([^"]+)"', prose(page)))
    for heading in re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        again = next(number for number in range(99) if (f"{slug}-{number}" if number else slug) not in found)
        found.add(f"{slug}-{again}" if again else slug)
    return found


def links(page: Path) -> list[str]:
    """Where its links lead, those to other sites left out."""
    return [each for each in _LINK.findall(prose(page)) if not re.match(r"[a-z]+:", each)]


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a script as lists of words: without what joins them, redirections and variables before."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in joined.splitlines():
        words: list[str] = []
        reader = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
        reader.whitespace_split = True
        for word in [*reader, ";"]:
            if word in _SEPARATORS:
                if words:
                    yield words
                words = []
            elif words or not re.match(r"[A-Z_]+=", word):
                words.append(word)


def ours(text: str) -> Iterator[list[str]]:
    """Of those the ones that call migration-guard, as its arguments; behind sudo or from a virtual environment too."""
    for words in commands(text):
        first = next((at for at, word in enumerate(words) if word not in _BEFORE), 0)
        if words[first:] and words[first].rsplit("/", 1)[-1] == "migration-guard":
            yield words[first + 1 :]


def typed(block: Block) -> str:
    """What a person types: of a console what stands behind the prompt, of a script all."""
    if block.language == "sh":
        return block.text
    return "\n".join(re.findall(r"^\$ (.*(?:\\\n.*)*)$", block.text, re.MULTILINE))


def inline(page: Path) -> Iterator[list[str]]:
    """Commands in the running text, `migration-guard WORD ...`, as words, without the brackets and dots of a usage."""
    for code in re.findall(r"`(migration-guard\s[^`]+)`", prose(page)):
        yield re.sub(r"\.\.\.|[][]", " ", code).split()[1:]
