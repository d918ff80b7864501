"""The one page builder: what was asked, what came out, figures, tables, explanations, as one HTML file.

A page needs nothing else: no network, no scripts, no fonts. Fixed text and looks are in page*.html and page.css.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Literal

from matplotlib.figure import Figure

from kdgan.experiments.figures import to_svg
from kdgan.experiments.tables import Table
from kdgan.files import replacing


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure with what it shows.

    Attributes:
        figure: drawn.
        heading: what it is.
        text: how to read it.
        alternative: what it shows, in words, for those who cannot see it; the heading where there is none.
    """

    figure: Figure
    heading: str
    text: str = ""
    alternative: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One test example, and what each variant says of it.

    Attributes:
        name: what it is called.
        labels: its true ones.
        picture: as PNG, or None.
        predictions: the likeliest labels by variant.
        values: of the columns of a table, by name.
    """

    name: str
    labels: Sequence[str]
    picture: bytes | None
    predictions: Mapping[str, Sequence[str]]
    values: Mapping[str, str] = field(default_factory=dict)


def write_page(
    path: Path,
    title: str,
    lead: Sequence[str],
    *,
    caveats: Sequence[str] = (),
    pictures: Sequence[Picture] = (),
    tables: Mapping[str, Table] | None = None,
    details: Mapping[str, Table] | None = None,
    examples: Sequence[Example] = (),
    terms: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
    colours: Mapping[str, str] | None = None,
    examples_heading: str = "What is recommended",
    reading: Literal["comparison", "run"] = "comparison",
) -> None:
    """Writes the page, atomically; same input, same bytes.

    Args:
        path: of the file.
        title: the question.
        lead: paragraphs that answer it.
        caveats: what weakens the answer.
        pictures: in their order.
        tables: by heading.
        details: the same, folded away.
        examples: what the variants say of test examples.
        terms: words and what they mean.
        facts: what the study was.
        colours: of variants, shown beside their names.
        examples_heading: what the examples are.
        reading: whose fixed text says how to read the page: page_comparison.html or page_run.html.
    """
    notes = "".join(f"<li>{_prose(note)}</li>" for note in caveats)
    shown = "\n".join(
        f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in (terms or {}).items()
    )
    body = [
        f'<ul class="caveats">{notes}</ul>' if notes else "",
        *(_picture(picture, number) for number, picture in enumerate(pictures, start=1)),
        *(f"<h2>{escape(heading)}</h2>\n{_table(each, colours)}" for heading, each in (tables or {}).items()),
        *(
            f"<details>\n<summary>{escape(heading)}</summary>\n{_table(each, colours)}\n</details>"
            for heading, each in (details or {}).items()
        ),
        _examples(examples, examples_heading),
    ]
    room = files("kdgan.experiments")
    page = Template((room / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        style=(room / "page.css").read_text(encoding="utf-8"),
        lead="\n".join(f"<p>{_prose(paragraph)}</p>" for paragraph in lead),
        body="\n".join(filter(None, body)),
        terms=f"<dl>\n{shown}\n</dl>" if shown else "",
        reading=(room / f"page_{reading}.html").read_text(encoding="utf-8"),
        facts=_facts(facts or {}),
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")  # names of files may be of any bytes


def _picture(picture: Picture, number: int) -> str:
    return (
        f'<figure><div class="wide" role="img" aria-label="{escape(picture.alternative or picture.heading)}">'
        f"{to_svg(picture.figure, f'figure{number}')}</div>"
        f"<figcaption><strong>Figure {number}. {_prose(picture.heading)}</strong> {_prose(picture.text)}"
        "</figcaption></figure>"
    )


def _table(table: Table, colours: Mapping[str, str] | None) -> str:
    head = "".join(f"<th>{escape(header)}</th>" for header in table.headers)
    body = "\n".join(f"<tr>{_row(table, row, colours or {})}</tr>" for row in table.cells)
    return (
        f'<div class="wide">\n<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>\n</div>\n'
        f'<p class="note">{_prose(table.note)}</p>'
    )


def _row(table: Table, row: Sequence[str], colours: Mapping[str, str]) -> str:
    cells = []
    for number, (column, text) in enumerate(zip(table.columns, row, strict=True)):
        swatch = f'<span class="swatch" style="background:{colours[text]}"></span>' if text in colours else ""
        tag, side = "td" if number else "th", ' class="words"' if column.words else ""
        cells.append(f"<{tag}{side}>{swatch}{escape(text)}</{tag}>")
    return "".join(cells)


def _examples(examples: Sequence[Example], heading: str) -> str:
    parts = []
    for example in examples:
        lines = "".join(
            f"<tr><th>{escape(name)}</th><td>{_marked(labels, example.labels)}</td></tr>"
            for name, labels in example.predictions.items()
        )
        values = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
            for name, value in example.values.items()
        )
        known = (
            f'<details><summary>its values</summary><table class="facts"><tbody>{values}</tbody></table></details>'
            if values
            else ""
        )
        shown = ""
        if example.picture is not None:
            data = base64.b64encode(example.picture).decode()
            shown = f'<img alt="" width="160" height="160" src="data:image/png;base64,{data}">'
        parts.append(
            f"<figure>{shown}<figcaption>{escape(example.name)}, in truth: {escape(', '.join(example.labels))}"
            f'</figcaption><table class="facts"><tbody>{lines}</tbody></table>{known}</figure>'
        )
    return f"<h2>{escape(heading)}</h2>\n" + "\n".join(parts) if parts else ""


def _marked(labels: Sequence[str], true: Sequence[str]) -> str:
    return ", ".join(f"<strong>{escape(each)}</strong>" if each in true else escape(each) for each in labels)


def _facts(facts: Mapping[str, str]) -> str:
    if not facts:
        return ""
    lines = "\n".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in facts.items())
    return f'<h2>The study</h2>\n<table class="facts"><tbody>\n{lines}\n</tbody></table>'


def _prose(text: str) -> str:
    return escape(text).replace(" %", "&nbsp;%")
