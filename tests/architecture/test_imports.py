"""What may be imported where: the rules that a contract between packages cannot express.

The layers themselves are in pyproject.toml and are checked by ``./dev check``.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import guard

PACKAGE = Path(guard.__file__).parent

# psycopg imports typing_extensions; the rest is psycopg itself, which picks its C half by name.
CLIENT_MAY = {"guard", "psycopg", "psycopg_binary", "psycopg_c", "typing_extensions", "tzdata"}
CLIENT_MAY_OF_OURS = ("guard.client", "guard.errors", "guard.model", "guard.sql")

# One library, one door: whoever else needs it asks there.
DOORS = {
    "apscheduler": ("guard.daemon",),
    "prometheus_api_client": ("guard.poll.prometheus_line",),
    "prometheus_client": ("guard.show.probing.collect",),
    "pydantic": ("guard.settings",),
    "pydantic_settings": ("guard.settings",),
    "htpy": ("guard.show",),
    "sqlite3": ("guard.journal",),
    "starlette": ("guard.show",),
    "tree_sitter": ("guard.settings",),
    "uvicorn": ("guard.show.serving",),
    "typer": ("guard.cli", "guard.__main__"),
}


def test_the_package_itself_imports_nothing() -> None:
    body = ast.parse((PACKAGE / "__init__.py").read_text()).body
    assert [type(node) for node in body] == [ast.Expr], "guard/__init__.py is a docstring and nothing else"


def test_a_migration_that_imports_the_client_loads_psycopg_and_the_standard_library_only() -> None:
    program = (
        "import json, sys; before = set(sys.modules); import guard.client;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded: list[str] = json.loads(done.stdout)
    # psycopg's compiled part brings Cython's own helpers, and Python its build data.
    helpers = ("_cython_", "cython_runtime", "_sysconfigdata")
    tops = {top for name in loaded if not (top := name.partition(".")[0]).startswith(helpers)}
    assert tops - CLIENT_MAY - sys.stdlib_module_names == set()
    ours = [name for name in loaded if name.startswith("guard.")]
    assert [name for name in ours if not name.startswith(CLIENT_MAY_OF_OURS)] == []


@pytest.mark.parametrize("library", DOORS)
def test_a_library_has_one_door(library: str) -> None:
    users = [module for module, imported in imports() if imported.partition(".")[0] == library]
    assert [user for user in users if not within(user, DOORS[library])] == []


def imports() -> list[tuple[str, str]]:
    """(module, what it imports), late imports too."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        relative = path.relative_to(PACKAGE.parent).with_suffix("")
        module = ".".join(part for part in relative.parts if part != "__init__")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found += [(module, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.append((module, node.module))
    return found


def within(module: str, packages: tuple[str, ...]) -> bool:
    """Whether *module* is one of *packages* or lies in one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)
