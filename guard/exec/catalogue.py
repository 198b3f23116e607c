"""The tools that people change a PostgreSQL database with, one function each: from a command and its project to a Tool.

It looks at the command and at the files of the project, and starts nothing. Where a file says otherwise, or cannot be
found, the careful answer is given: less is claimed, never more. Wrappers around a tool are not its business.
"""

from __future__ import annotations

import getopt
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from guard import sql
from guard.exec.tool import Tool
from guard.exec.wrapped import Started

_QUOTED_BODY: Final = re.compile(r"(\$\w*\$).*?\1", re.DOTALL)
_ENDS_A_TRANSACTION: Final = re.compile(
    r"(?:^|;)\s*(?:commit|end|rollback|abort|prepare\s+transaction|\\c|\\connect|\\ir?|\\include\w*)\b",
    re.IGNORECASE | re.MULTILINE,
)
_NO_TRANSACTION: Final = re.compile(r"\b(?:concurrently|vacuum|call|do|detach)\b", re.IGNORECASE)


def _one_transaction(text: str) -> bool:
    """Whether what is run inside a transaction stays in it to the end: nothing in the text ends it by hand."""
    return not _ENDS_A_TRANSACTION.search(_QUOTED_BODY.sub("", text))


def _text(file: Path) -> str:
    """What a file says; "" where there is none that can be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _texts(directory: Path, *patterns: str) -> str:
    """What the files that match say, together."""
    return "\n".join(_text(file) for pattern in patterns for file in sorted(directory.glob(pattern)))


def _option(arguments: Sequence[str], *names: str) -> str:
    """The value of an option, `--name value` or `--name=value`; "" where it is not given."""
    for index, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else "".join(arguments[index + 1 : index + 2])
    return ""


def _drizzle(part: Started) -> Tool | None:
    """Drizzle Kit 0.x and 1.0: `migrate` is one transaction for all pending files, `push` none at all."""
    verb = part.arguments[0] if part.arguments else ""
    if verb.startswith("push"):
        forced = "--force" in part.arguments
        return Tool(
            "drizzle-kit push",
            one_transaction=False,
            repeatable=not forced,  # what it truncates a second time may hold new rows by then
            warns="drizzle-kit push commits each statement by itself and keeps no history: what is stopped half-way "
            "stays half-way until it is run again. "
            + (
                "With --force it truncates and drops without a question."
                if forced
                else "Where data would be lost it asks, and needs a terminal for that."
            ),
            success=("[✓] Changes applied", "No changes detected"),
        )
    if verb != "migrate":
        return None
    folder = _drizzle_folder(part)
    files = _texts(folder, "*.sql", "*/*.sql")
    whole = bool(files) and _one_transaction(files)
    older = ", ".join(_older(_text(folder / "meta" / "_journal.json")))
    return Tool(
        "drizzle-kit migrate",
        one_transaction=whole,
        repeatable=whole,
        history=sql.get("exec_history_drizzle"),
        warns=older
        and f"{older}: older than a file before it, by meta/_journal.json. Where that one is applied already, "
        "drizzle-kit migrate passes this one over without a word.",
    )


def _drizzle_folder(part: Started) -> Path:
    """Where the migrations are: what the configuration says as `out`, in the order in which it is looked for."""
    given = _option(part.arguments, "--config")
    for name in (given,) if given else ("drizzle.config.ts", "drizzle.config.js", "drizzle.config.json"):
        if out := re.search(r"\bout[\"']?\s*:\s*[\"'`]([^\"'`]+)", _text(part.directory / name)):
            return part.directory / out[1]
    return part.directory / "drizzle"


def _older(journal: str) -> list[str]:
    """The files that are older than one that stands before them."""
    try:
        entries = [(float(entry["when"]), str(entry["tag"])) for entry in json.loads(journal)["entries"]]
    except (ValueError, TypeError, KeyError):
        return []
    return [tag for index, (when, tag) in enumerate(entries) if any(when < other for other, _ in entries[:index])]


def _alembic(part: Started) -> Tool | None:
    """One transaction for the whole upgrade, unless env.py or a revision says otherwise."""
    if "upgrade" not in part.arguments or "--sql" in part.arguments:
        return None
    target = part.arguments[part.arguments.index("upgrade") + 1 :]
    ini = part.directory / (_option(part.arguments, "-c", "--config") or "alembic.ini")
    place = re.search(r"^\s*script_location\s*=\s*(\S+)", _text(ini), re.MULTILINE)
    scripts = ini.parent / place[1].replace("%(here)s", str(ini.parent)) if place else None
    sources = "" if scripts is None else _texts(scripts, "env.py", "versions/**/*.py")
    apart = "transaction_per_migration" in sources
    free = not sources or re.search(r"autocommit|transactional_ddl", sources, re.IGNORECASE) is not None
    return Tool(
        "alembic upgrade",
        one_transaction=not apart and not free,
        repeatable=not free and not any(re.search(r"\+\d", word) for word in target),
        history=sql.get("exec_history_alembic"),
    )


def _django(part: Started) -> Tool | None:
    """Each migration is a transaction, but one that says `atomic = False`."""
    if part.arguments[:1] != ("migrate",):
        return None
    migrations = _texts(part.directory, *("*/" * deep + "migrations/*.py" for deep in range(5)))
    return Tool(
        "django migrate",
        one_transaction=False,
        repeatable=bool(migrations) and not re.search(r"\batomic\s*=\s*False", migrations),
        history=sql.get("exec_history_django"),
    )


def _dbmate(part: Started) -> Tool | None:
    """Each migration is a transaction, but one that says `transaction:false`."""
    if not {"up", "migrate"} & set(part.arguments):
        return None
    directory = part.directory / (_option(part.arguments, "-d", "--migrations-dir") or "db/migrations")
    files = _texts(directory, "*.sql")
    return Tool(
        "dbmate",
        one_transaction=False,
        repeatable=bool(files) and not re.search(r"transaction\s*:\s*false", files),
        history=sql.get("exec_history_dbmate"),
    )


def _flyway(part: Started) -> Tool | None:
    """Each migration is a transaction; what failed outside one is noted, and flyway then refuses to go on by itself."""
    verbs = [word for word in part.arguments if not word.startswith("-")]
    if "migrate" not in verbs:
        return None
    clean = "clean" in verbs
    return Tool(
        "flyway migrate",
        one_transaction=False,
        repeatable=not clean,
        history=sql.get("exec_history_flyway"),
        refuses="flyway clean drops every object of the schema; run flyway migrate alone" if clean else "",
    )


_PSQL: Final = "c:d:f:F:h:L:o:p:P:R:T:U:v:1aAbeEHlnqsStVwWxXz0?"
# fmt: off
_PSQL_LONG: Final = [
    "command=", "dbname=", "file=", "field-separator=", "host=", "log-file=", "output=", "port=", "pset=", "set=",
    "record-separator=", "table-attr=", "username=", "variable=", "csv", "echo-all", "echo-errors", "echo-hidden",
    "echo-queries", "expanded", "field-separator-zero", "help", "html", "list", "no-align", "no-password", "no-psqlrc",
    "no-readline", "password", "quiet", "record-separator-zero", "single-line", "single-step", "single-transaction",
    "tuples-only", "version",
]
# fmt: on
_ROLLS_BACK_ONE: Final = re.compile(r"^\s*(?:\\set\s+)?ON_ERROR_ROLLBACK\b", re.MULTILINE)
"""After an error the rest of the transaction goes on, and commits."""
_SET_IN_SCRIPT: Final = re.compile(r"^\s*\\set\s+ON_ERROR_STOP\s+(?:on|1|true|yes)\b", re.MULTILINE)
_GOES_ON: Final = (
    "psql goes on with the next statement after one that was cancelled, and exits with 0: give it -v ON_ERROR_STOP=1."
)


def _psql(part: Started) -> Tool:
    """psql commits each statement by itself, but under -1 or where all it is given is one -c."""
    try:
        options, _ = getopt.gnu_getopt(list(part.arguments), _PSQL, _PSQL_LONG)
    except getopt.GetoptError:
        options = []
    commands = [value for name, value in options if name in {"-c", "--command"}]
    scripts = [_text(part.directory / value) for name, value in options if name in {"-f", "--file"}]
    alone = len(commands) == 1 and not scripts
    single = any(name in {"-1", "--single-transaction"} for name, _ in options)
    together = single or (alone and not _NO_TRANSACTION.search(commands[0]))
    # A script that cannot be read here (standard input too) may end the transaction.
    readable = bool(commands or scripts) and all(scripts)
    sets = [value for name, value in options if name in {"-v", "--set", "--variable"}]
    stops = alone or any(map(_stops_on_errors, sets)) or any(map(_SET_IN_SCRIPT.search, scripts))
    whole = not any(map(_ROLLS_BACK_ONE.search, [*sets, *scripts]))
    return Tool(
        "psql",
        one_transaction=together and readable and whole and _one_transaction("\n".join([*commands, *scripts])),
        repeatable=False,
        warns="" if stops else _GOES_ON,
        complaint=r"^(?:psql:.*: )?(?:ERROR|FATAL|PANIC):.*$",
    )


def _stops_on_errors(assignment: str) -> bool:
    name, _, value = assignment.partition("=")
    return name == "ON_ERROR_STOP" and value.lower() not in {"", "0", "off", "false", "no"}


KNOWN: Final[Mapping[str, Callable[[Started], Tool | None]]] = {
    "drizzle-kit": _drizzle,
    "alembic": _alembic,
    "manage.py": _django,
    "django-admin": _django,
    "django": _django,  # python -m django
    "dbmate": _dbmate,
    "flyway": _flyway,
    "psql": _psql,
}
"""By the name of the program that is started in the end; None where it is started for something harmless."""
