"""What ./dev mutants takes for argued is the very change that was argued, of code that still stands so."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tests.mutants import ARGUED, LAYERS, PROJECT, Change, argued, files_of, function_of

PAPER = """
# Anything

`guard.decide.bounds.pardoned`

```diff
-    return 1
+    return 2
```

Because.
"""
SHOWN = """# guard.decide.bounds.x_pardoned__mutmut_3: survived
--- guard/decide/bounds.py
+++ guard/decide/bounds.py
@@ -1,3 +1,3 @@
 def pardoned():
-        return 1
+        return 2
"""


def test_a_survivor_is_known_by_its_function_and_its_change() -> None:
    known = argued(PAPER)
    name = function_of("guard.decide.bounds.x_pardoned__mutmut_3")
    assert Change.read(name, SHOWN) in known
    assert Change.read(name, SHOWN.replace("return 2", "return 3")) not in known
    assert Change.read(function_of("guard.decide.bounds.x_must_stay__mutmut_3"), SHOWN) not in known
    assert argued(str(Change.read(name, SHOWN))) == known
    assert function_of("guard.judge.verdicts.xǁRuleǁjudge__mutmut_12") == "guard.judge.verdicts.Rule.judge"


def test_what_is_argued_stands_in_the_code_and_the_tests_that_must_notice_are_there() -> None:
    for change in argued(ARGUED.read_text(encoding="utf-8")):
        module = ".".join(change.function.split(".")[:3])
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        source = {line.strip() for line in Path(spec.origin).read_text(encoding="utf-8").splitlines()}
        assert {line[2:] for line in change.lines if line.startswith("-")} <= source, change
    assert [path for layer in LAYERS for path in files_of(layer) if not (PROJECT / path).exists()] == []
