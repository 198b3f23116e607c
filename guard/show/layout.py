"""The frame of every page: head, landmarks, and the containers of its parts. No style and no script stands in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import htpy as h
from markupsafe import Markup

from guard.show.words import clock, machine_time

REFRESH = 5
"""Seconds after which a browser without our script asks for the page again."""


@dataclass(frozen=True, slots=True)
class Box:
    """A container: its id, its heading (empty: its content has one), and whether a screen reader is told of changes."""

    ident: str
    heading: str = ""
    labelled_by: str = ""
    spoken: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page: its title, its boxes in order, and where its changes are to be had."""

    title: str
    boxes: Sequence[Box]
    stream: str
    boot: str
    wall: float
    home: bool = False


def page(sheet: Sheet, parts: Mapping[str, str]) -> str:
    """The whole document. *parts* are HTML already, by the id of their box."""
    return str(
        h.html(lang="en")[
            h.head[
                h.meta(charset="utf-8"),
                h.meta(name="viewport", content="width=device-width, initial-scale=1"),
                h.meta(name="color-scheme", content="light dark"),
                h.noscript[h.meta(http_equiv="refresh", content=str(REFRESH))],
                h.title[f"{sheet.title} · migration-guard"],
                h.link(rel="icon", href="/icon.svg", type="image/svg+xml"),
                h.link(rel="stylesheet", href="/page.css"),
                h.script(src="/page.js", defer=True),
            ],
            h.body(data_stream=sheet.stream, data_boot=sheet.boot, data_wall=f"{sheet.wall:.3f}")[
                h.a(class_="skip", href="#main")["To the content"],
                _header(sheet),
                h.main(id="main", tabindex="-1")[
                    h.h1[sheet.title],
                    (_box(box, parts.get(box.ident, "")) for box in sheet.boxes),
                ],
                h.footer[
                    h.p[
                        "Nothing can be changed here: ",
                        h.code["migration-guard --help"],
                        " can, and SQL in the guarded database.",
                    ]
                ],
            ],
        ]
    )


def _header(sheet: Sheet) -> h.Element:
    return h.header[
        h.nav(aria_label="Pages")[h.a(href="/", aria_current="page" if sheet.home else None)["migration-guard"]],
        h.p(class_="asof")[
            "As of ",
            h.time(id="asof", datetime=machine_time(sheet.wall))[clock(sheet.wall)],
            " ",
            h.span(id="link", data_link="page", role="status")[f"(asked again each {REFRESH} s)"],
        ],
    ]


def _box(box: Box, html: str) -> h.Element:
    content = Markup(html)  # noqa: S704  it was made of escaped pieces, by guard.show alone
    if box.spoken:
        return h.div(id=box.ident, class_="part spoken", role="status", aria_live="polite")[content]
    if box.heading:
        label = f"h-{box.ident}"
        return h.section(class_="box", aria_labelledby=label)[
            h.h2(id=label)[box.heading], h.div(id=box.ident, class_="part")[content]
        ]
    return h.section(id=box.ident, class_="box part", aria_labelledby=box.labelled_by or None)[content]
