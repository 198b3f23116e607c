"""What is known of one tool: what a cancel of it leaves, and whether it has succeeded.

It starts nothing and asks nobody; which tool a command is, and what its files say, is found elsewhere.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import Final, LiteralString

_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_SQLSTATE: Final = re.compile(r"""\bcode: ['"]([0-9A-Z]{5})['"]""")
_ERROR: Final = re.compile(r"^.*?\b(?:[Ee]rror|ERROR): +(\S.*)$", re.MULTILINE)
_PASSWORD: Final = re.compile(r"(://[^:/@\s]*):[^@\s]*@")
_LONGEST: Final = 200
"""Characters of a tool's own words that are told again."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One way to start one tool."""

    name: str
    one_transaction: bool
    """A cancel takes everything of this try back."""
    repeatable: bool
    """To run it again does only what is missing."""
    history: LiteralString = ""
    """A query, one row with one text: what the tool has noted as applied, '' where that is nothing; "" = no query."""
    refuses: str = ""
    """Why it must not be run under guard as it is, in words; "" where it may."""
    warns: str = ""
    """What to know before it is run, in words."""
    success: tuple[str, ...] = ()
    """One of these is in its output where it succeeded; () = its exit code says so."""
    complaint: str = ""
    """A regular expression: a line of its output like this is a failure, though the exit code may be 0."""

    def failure(self, code: int, output: str) -> str:
        """Why it did not succeed, though *code* may be 0; "" where it did.

        *code* is negative where a signal ended it, as subprocess has it; *output* is what it printed, or its end.
        """
        output = _PASSWORD.sub(r"\1@", _ANSI.sub("", output))
        if code < 0:
            return f"{self.name} was ended by {signal.Signals(-code).name}"
        why = _why(output)
        if code > 0:
            return f"{self.name} ended with exit code {code}" + (f": {why}" if why else ", and said no reason")
        if self.complaint and (found := re.search(self.complaint, output, re.MULTILINE)):
            return f"{self.name} ended with exit code 0, but said: {found[0].strip()[:_LONGEST]}"
        if self.success and not any(words in output for words in self.success):
            missing = " or ".join(f"“{words}”" for words in self.success)
            said = f"; it said: {why}" if why else ""
            return f"{self.name} ended with exit code 0, but did not say {missing}{said}"
        return ""


def _why(output: str) -> str:
    """The tool's own words on its failure, as far as they are a server's or a library's: one line with the SQLSTATE."""
    lines: list[str] = _ERROR.findall(output)
    code = _SQLSTATE.search(output)
    if not lines:
        return f"SQLSTATE {code[1]}" if code else ""
    return lines[-1].strip()[:_LONGEST] + (f" (SQLSTATE {code[1]})" if code else "")
