"""On which line of a TOML file a key stands. tomllib keeps no positions; tree-sitter's grammar does.

Only for text that tomllib has accepted: it makes no judgement of its own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

Key = tuple[str | int, ...]

_KEYS = {"bare_key", "quoted_key", "dotted_key"}


class Lines:
    """Lines of all keys of one file, counted from 1."""

    def __init__(self, text: str) -> None:
        self._at: dict[Key, int] = {(): 1}
        self._length: dict[Key, int] = {}
        parser = Parser(Language(tree_sitter_toml.language()))
        for node in parser.parse(text.encode("utf-8", "surrogatepass")).root_node.named_children:
            self._statement(node)

    def of(self, key: Key) -> int:
        """The line of `key`, or of the nearest table that would hold it."""
        while key not in self._at:
            key = key[:-1]
        return self._at[key]

    def _statement(self, node: Node) -> None:
        if node.type == "pair":
            self._pair(node, ())
        elif node.type in {"table", "table_array_element"}:
            table = self._header(node)
            for pair in _of_type(node, {"pair"}):
                self._pair(pair, table)

    def _header(self, node: Node) -> Key:
        names = _names(next(_of_type(node, _KEYS)))
        table: Key = ()
        for name in names:
            table = (*table, name)
            # [rule.x] after [[rule]] belongs to the last element.
            if table in self._length and (node.type == "table" or name is not names[-1]):
                table = (*table, self._length[table] - 1)
        if node.type == "table_array_element":
            count = self._length.get(table, 0)
            self._length[table] = count + 1
            self._at.setdefault(table, _line(node))
            table = (*table, count)
        self._note(table, node)
        return table

    def _pair(self, node: Node, table: Key) -> None:
        key_node, value = node.named_children[0], node.named_children[-1]
        key: Key = table
        for name in _names(key_node):
            key = (*key, name)
            self._at.setdefault(key, _line(node))
        self._value(value, key)

    def _value(self, node: Node, key: Key) -> None:
        if node.type == "inline_table":
            for pair in _of_type(node, {"pair"}):
                self._pair(pair, key)
        elif node.type == "array":
            elements = (child for child in node.named_children if child.type != "comment")
            for index, element in enumerate(elements):
                self._note((*key, index), element)
                self._value(element, (*key, index))

    def _note(self, key: Key, node: Node) -> None:
        for length in range(1, len(key) + 1):
            self._at.setdefault(key[:length], _line(node))


def _line(node: Node) -> int:
    return int(node.start_point[0]) + 1


def _of_type(node: Node, types: set[str]) -> Iterator[Node]:
    return (child for child in node.named_children if child.type in types)


def _names(node: Node) -> list[str]:
    if node.type == "dotted_key":
        return [name for child in _of_type(node, _KEYS) for name in _names(child)]
    text = (node.text or b"").decode("utf-8", "surrogatepass")
    return [text] if node.type == "bare_key" else list(tomllib.loads(f"{text} = 0"))
