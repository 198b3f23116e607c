"""Which programs a command starts in the end: behind npx, pnpm, env and the like, and behind a script of package.json.

It reads package.json and starts nothing. What it cannot follow it hands back as it is, marked as not sure: a claim
about a tool that is not the one at work would be worse than none.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

_DEEPEST = 8
"""Scripts that start scripts; one that starts itself ends here."""
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_OPERATORS = re.compile(r"[;&|()]+")

# The options of a wrapper that take a value as the next word; any other is taken for a flag.
_NPM = frozenset(
    {"-C", "--prefix", "-w", "--workspace", "-c", "--call", "-p", "--package", "--loglevel", "--script-shell"}
)
_PNPM = frozenset({"-C", "--dir", "-F", "--filter", "--filter-prod", "--loglevel", "--reporter", "--package"})
_YARN = frozenset({"--cwd", "-p", "--package"})
_BUN = frozenset({"--cwd", "-F", "--filter", "-p", "--package"})
_PLAIN: dict[str, frozenset[str]] = {
    "env": frozenset({"-u", "--unset", "-C", "--chdir", "-S"}),
    "nice": frozenset({"-n"}),
    "nohup": frozenset(),
    "time": frozenset(),
    "command": frozenset(),
    "exec": frozenset(),
    "stdbuf": frozenset({"-i", "-o", "-e"}),
    "cross-env": frozenset(),
    "dotenv": frozenset({"-e", "-f", "--file", "-v", "-c"}),
    "python": frozenset({"-W", "-X"}),
    "node": frozenset({"-r", "--require", "--import", "--loader", "--env-file"}),
    "tsx": frozenset(),
    "npx": _NPM,
    "pnpx": _PNPM,
    "bunx": _BUN,
    "pipenv": frozenset(),
    "poetry": frozenset({"-C", "--directory", "-P", "--project"}),
    "uv": frozenset({"--with", "--project", "--directory", "-p", "--python", "--extra", "--group", "--env-file"}),
    "pdm": frozenset({"-p", "--project"}),
}
_SECOND_WORD = frozenset({"pipenv", "poetry", "uv", "pdm"})
"""They start another program as `NAME run PROGRAM` alone."""
_DIRECTORY = frozenset({"-C", "--prefix", "--dir", "--cwd", "--chdir", "--directory", "--project"})
_WORKSPACE = frozenset({"-w", "--workspace", "-F", "--filter", "--filter-prod"})
_MANAGERS: dict[str, frozenset[str]] = {"npm": _NPM, "pnpm": _PNPM, "yarn": _YARN, "bun": _BUN}
_RUN = frozenset({"run", "run-script", "rum", "urn"})
_EXECUTE = frozenset({"exec", "x", "dlx"})
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})


@dataclass(frozen=True, slots=True)
class Started:
    """One program that a command starts, without what stood around it."""

    program: str
    """Its name alone: no directory, no version, `python` for python3.12."""
    arguments: tuple[str, ...]
    directory: Path
    """Where it will be at work."""
    sure: bool = True
    """False where something in between could not be followed."""


def started(command: Sequence[str], directory: Path, depth: int = 0) -> tuple[Started, ...]:
    """The programs that *command* starts in *directory*, in their order; () for no command."""
    words = list(command)
    while words and _ASSIGNMENT.match(words[0]):
        words.pop(0)
    if not words:
        return ()
    this = Started(_name(words[0]), tuple(words[1:]), directory)
    if depth > _DEEPEST:
        return (replace(this, sure=False),)
    for programs, follow in _FOLLOWERS:
        if this.program in programs:
            return follow(this, depth + 1)
    return (this,)


def _name(word: str) -> str:
    path = Path(word)
    if "drizzle-kit" in path.parts:  # node node_modules/drizzle-kit/bin.cjs
        return "drizzle-kit"
    name = path.name.removesuffix(".exe").removesuffix(".cmd")
    name = name if name.startswith("@") else name.partition("@")[0]
    return "python" if re.fullmatch(r"python[\d.]*", name) else name


@dataclass(slots=True)
class _Options:
    """What stood before a wrapper's own words, and these."""

    words: list[str]
    directory: Path
    sure: bool = True
    script: str | None = None
    """Of `npx -c`, `npm exec -c`, `env -S`: a command line in one word."""


def _options(this: Started, valued: frozenset[str]) -> _Options:
    """Take the options in front away, and go where they lead."""
    found = _Options(list(this.arguments), this.directory, this.sure)
    while found.words and found.words[0].startswith("-"):
        option, _, value = found.words.pop(0).partition("=")
        if option == "--":
            break
        if option == "-m" and this.program == "python":
            break
        if not value and option in valued and found.words:
            value = found.words.pop(0)
        if option in _DIRECTORY:
            found.directory /= value
        elif option in _WORKSPACE and value:
            _enter_workspace(found, value)
        elif option in {"-c", "--call", "-S"} and this.program in {"npx", "npm", "env"}:
            found.script = value
    return found


def _enter_workspace(found: _Options, name: str) -> None:
    """Go to a package of the same repository, by its directory or its name."""
    root = found.directory
    for file in (root / name / "package.json", *root.glob("*/package.json"), *root.glob("*/*/package.json")):
        if file.is_file() and (file.parent == root / name or _package(file).get("name") == name):
            found.directory = file.parent
            return
    found.sure = False


def _plain(this: Started, depth: int) -> tuple[Started, ...]:
    found = _options(this, _PLAIN[this.program])
    if found.script is not None:
        return _script(found.script, found.directory, depth)
    if this.program in _SECOND_WORD:
        if found.words[:1] != ["run"]:
            return (this,)
        found = _options(Started(this.program, tuple(found.words[1:]), found.directory), _PLAIN[this.program])
    if not found.words:
        return (this,)
    return _as_sure(started(found.words, found.directory, depth), sure=found.sure)


def _manager(this: Started, depth: int) -> tuple[Started, ...]:
    """npm, pnpm, yarn, bun: a script of package.json, or a program of node_modules."""
    valued = _MANAGERS[this.program]
    found = _options(this, valued)
    verb, *rest = found.words or [""]
    if verb == "workspace" and this.program == "yarn" and rest:
        _enter_workspace(found, rest[0])
        verb, *rest = rest[1:] or [""]
    if verb in _EXECUTE or verb in _RUN:
        inner = _options(Started(this.program, tuple(rest), found.directory, found.sure), valued)
        if inner.script is not None:
            return _script(inner.script, inner.directory, depth)
        words, found = inner.words, inner
    else:
        words = [verb, *rest]
    if not words:
        return (replace(this, sure=False),)
    scripts = _scripts(found.directory)
    if verb not in _EXECUTE and words[0] in scripts:
        return _as_sure(_package_script(scripts, words, found.directory, depth), sure=found.sure)
    if verb in _EXECUTE or this.program != "npm":  # npm starts a program of node_modules by `npm exec` alone
        return _as_sure(started(words, found.directory, depth), sure=found.sure)
    return (replace(this, sure=False),)


def _package_script(scripts: dict[str, str], words: list[str], directory: Path, depth: int) -> tuple[Started, ...]:
    """A script with those that run before and after it; what the caller adds goes to the script's last command."""
    name, *more = words
    more = [word for index, word in enumerate(more) if word != "--" or "--" in more[:index]]
    line = " ".join([scripts[name], *map(shlex.quote, more)])
    lines = [scripts.get(f"pre{name}", ""), line, scripts.get(f"post{name}", "")]
    return tuple(each for text in lines if text for each in _script(text, directory, depth))


def _shell(this: Started, depth: int) -> tuple[Started, ...]:
    words = list(this.arguments)
    while words and words[0].startswith("-"):
        if re.fullmatch(r"-[a-z]*c", words.pop(0)) and words:
            return _script(words[0], this.directory, depth)
    return (replace(this, sure=False),)  # a script in a file


def _script(text: str, directory: Path, depth: int) -> tuple[Started, ...]:
    """The commands of a shell's line. What a shell would still expand stays as it is written."""
    lexer = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:  # a quotation without an end
        return (Started("sh", ("-c", text), directory, sure=False),)
    found: list[Started] = []
    for command in _commands(words):
        if command[0] == "cd":
            directory = directory / command[-1]
        else:
            found.extend(started(command, directory, depth))
    return tuple(found)


def _commands(words: Sequence[str]) -> list[list[str]]:
    commands: list[list[str]] = [[]]
    for word in words:
        if _OPERATORS.fullmatch(word):
            commands.append([])
        else:
            commands[-1].append(word)
    return [command for command in commands if command]


def _as_sure(found: tuple[Started, ...], *, sure: bool) -> tuple[Started, ...]:
    return found if sure else tuple(replace(each, sure=False) for each in found)


def _scripts(directory: Path) -> dict[str, str]:
    """The scripts of the package that *directory* belongs to, as the package managers look for it."""
    for place in (directory, *directory.absolute().parents):
        if (place / "package.json").is_file():
            scripts = _package(place / "package.json").get("scripts")
            return {str(name): str(line) for name, line in scripts.items()} if isinstance(scripts, dict) else {}
    return {}


def _package(file: Path) -> dict[str, object]:
    try:
        package = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return package if isinstance(package, dict) else {}


_FOLLOWERS: tuple[tuple[frozenset[str], Callable[[Started, int], tuple[Started, ...]]], ...] = (
    (frozenset(_PLAIN), _plain),
    (frozenset(_MANAGERS), _manager),
    (_SHELLS, _shell),
)
