"""docs/settings.md, made from the tables that the file is read by: `python -m guard.settings > docs/settings.md`.

What a key means is the docstring beneath it, its kind the docstring of what checks it (guard.settings.kinds), and its
section the first word of its table's docstring. Nothing is written here that the tables could say.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator
from pydantic.fields import FieldInfo

import guard.settings.loading  # noqa: F401 -- whoever adds a table imports it there, so that it is known here
from guard.settings.kinds import Between
from guard.settings.tables import SECTIONS, Table

_HEAD: Final = """\
# Settings

Every key of the configuration file. Generated: `python -m guard.settings > docs/settings.md`. A file to begin with is
[config.example.toml](../config.example.toml); what a rule can measure is in [sensors.md](sensors.md).

TOML. A key that is not here is an error, and all errors are told at once, with file and line. Durations are written
`"250ms"`, `"5s"`, `"1m30s"`, `"2h"`; sizes as PostgreSQL reads them, `"64kB"`, `"10MB"`, `"1GB"` (1 kB = 1024 bytes).
Files that are named relatively are looked for beside the configuration file.

A condition is `OP VALUE ["and" OP VALUE ...] ["for" DURATION]`, such as `"> 5s for 3s"` or
`"> 1.5x baseline and > 200ms for 30s"`. OP is `>`, `>=`, `<` or `<=`; VALUE is a duration, a size, a percentage, a
count, `1.5x baseline` or `baseline + 20ms`.
"""
_PAGE: Final = re.compile(r"\bdocs/([\w-]+)\.md(#[\w-]+)?")
_UNITS: Final = (("h", 3600.0), ("m", 60.0), ("s", 1.0))


def paper() -> str:
    """docs/settings.md. Raises LookupError where a key, a kind or a section has no words."""
    return "\n".join([_HEAD, *(line for table in tables() for line in _section(table))])


def tables() -> list[type[Table]]:
    """Those that stand for a section, in the order of SECTIONS, the larger before its parts."""
    found = [table for table in _below(Table) if title_of(table).startswith("[")]
    return sorted(found, key=lambda table: (SECTIONS.index(section_of(table)), title_of(table).count(".")))


def section_of(table: type[Table]) -> str:
    """`database`."""
    return re.split(r"\W+", title_of(table))[1]


def title_of(table: type[Table]) -> str:
    """`[database.NAME]`; what its docstring says before the first colon."""
    return inspect.cleandoc(table.__doc__ or "").split(":", maxsplit=1)[0]


def keys(table: type[Table]) -> dict[str, FieldInfo]:
    """Its keys as the file has them: its own first, then what it inherits."""
    fields = {**{name: table.model_fields[name] for name in _meanings(table)}, **table.model_fields}
    return {field.alias or name: field for name, field in fields.items()}


def _below(table: type[Table]) -> Iterator[type[Table]]:
    for each in table.__subclasses__():
        yield each
        yield from _below(each)


def _section(table: type[Table]) -> Iterator[str]:
    title, _, words = inspect.cleandoc(table.__doc__ or "").partition(": ")
    yield from (f"## {title}", *_wrapped(f"{words[0].upper()}{words[1:]}", ""), "")
    meanings = {name: said for each in reversed(table.__mro__) for name, said in _meanings(each).items()}
    for key, field in keys(table).items():
        name = next(name for name, each in table.model_fields.items() if each is field)
        if not meanings.get(name):
            raise LookupError(f"{table.__name__}.{name} has no docstring that says what it means")
        yield from _wrapped(f"- **`{key}`** ({_kind(field)}{_default(field)}): {meanings[name]}", "  ")
    yield ""


def _meanings(table: type) -> dict[str, str]:
    """The docstrings beneath the fields that a class declares itself: Python keeps them in its source alone."""
    if not issubclass(table, Table):
        return {}
    [body] = ast.parse(textwrap.dedent(inspect.getsource(table))).body
    parts = body.body if isinstance(body, ast.ClassDef) else []
    found: dict[str, str] = {}
    for at, after in zip(parts, [*parts[1:], None], strict=True):
        if isinstance(at, ast.AnnAssign) and isinstance(at.target, ast.Name):
            said = after.value if isinstance(after, ast.Expr) else None
            found[at.target.id] = str(said.value) if isinstance(said, ast.Constant) else ""
    return found


def _kind(field: FieldInfo) -> str:
    words = [word for each in (field.annotation, *field.metadata) for word in _words(each)]
    if not words:
        raise LookupError(f"there are no words for {field.annotation!r}")
    word = words[-1].removesuffix(".")
    return (
        word
        if word.startswith("`")
        else f"{word[0].lower()}{word[1:]}"
        if word[1:2].islower() or word[1] == " "
        else word
    )


def _words(kind: Any) -> Iterator[str]:
    """What is said of an annotation, or of what stands within it."""
    if isinstance(kind, BeforeValidator | AfterValidator):
        check: Any = kind.func
        between = isinstance(check, Between)
        yield (
            f"duration, {_duration(check.least)} to {_duration(check.most)}" if between else inspect.getdoc(check) or ""
        )
    elif get_origin(kind) is Literal:
        yield " or ".join(f'`"{each}"`' for each in get_args(kind))
    elif kind is Any or get_origin(kind) is dict:
        yield "tables"
    elif get_origin(kind) is Annotated or get_args(kind):
        for each in (*get_args(kind), *getattr(kind, "__metadata__", ())):
            yield from _words(each)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "; required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value == () or isinstance(value, Mapping):
        return ""
    return f"; default `{_written(value, _kind(field))}`"


def _written(value: Any, kind: str) -> str:
    """As the file would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and kind.startswith("duration"):
        return f'"{_duration(value)}"'
    if kind.startswith('`"pause"'):
        return '"pause"'
    if isinstance(value, tuple) and isinstance(value[-1], int):
        return f'"{value[0]}:{value[-1]}"'
    if isinstance(value, tuple):
        return json.dumps(value)
    return f'"{value}"' if isinstance(value, str) else str(value)


def _duration(seconds: float) -> str:
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size and seconds % size == 0), ("s", 1.0))
    return f"{seconds / size:g}{unit}"


def _wrapped(text: str, indent: str) -> list[str]:
    packed = _PAGE.sub(r"[\1](\1.md\2)", " ".join(text.split()))
    return textwrap.wrap(packed, 120, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)
