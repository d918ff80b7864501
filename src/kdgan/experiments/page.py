"""One page for a study, readable by someone who never saw the paper: what was asked, the picture, the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from types import MappingProxyType

from kdgan.files import replacing
from kdgan.experiments.figures import to_svg
from kdgan.paper.paper_figures import FIGURES
from kdgan.paper.study_tables import TABLES

GAME = (
    "A small network, the student, is to classify as well as it can. While it is trained there is more than it will "
    "have later: a larger network, the teacher. In KDGAN (Wang et al., NeurIPS 2018) student and teacher learn from "
    "each other, and a third network, the discriminator, learns to tell their labels from true ones; both learn to "
    "pass its judgement."
)
"""What all pages begin with."""

TEXTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "table1": (
            "Which method trains the best student?",
            "Seven methods, and co-distillation of three networks, which costs what KDGAN costs. All get the same "
            "labelled images of a seed, the same views of them, the same number of student updates and the same "
            "pretrained teacher. On MNIST their settings come from a search with as many trials for each, on "
            "validation images of other seeds; on CIFAR-10 they are each method's defaults.",
        ),
        "samples": (
            "How many labels does each method need?",
            "The columns of Table 1 as curves: accuracy against the number of labelled images.",
        ),
        "figure3a": (
            "Does a teacher make the game faster and steadier?",
            "NaGAN is the same game without a teacher: the student against the discriminator alone.",
        ),
        "figure4": (
            "How much do the weights of the game matter?",
            "α divides the discriminator's attention between student and teacher, β is how closely the student "
            "follows the teacher, γ how closely the teacher follows the student. One is changed at a time.",
        ),
        "figure3b": (
            "Does a teacher make the game faster and steadier on photos with tags?",
            "NaGAN is the same game without a teacher: the student against the discriminator alone. The student sees "
            "features of a photo; in training the others see what its owner wrote, too. P@3 is the share of right tags "
            "among the first three.",
        ),
        "figure5": (
            "How much do the weights of the game matter on photos with tags?",
            "α divides the discriminator's attention between student and teacher, β is how closely the student "
            "follows the teacher, γ how closely the teacher follows the student. One is changed at a time. P@3 is the "
            "share of right tags among the first three.",
        ),
        "figure7": (
            "Which part of the student's gradient is noise?",
            "The paper's argument rests on the distillation gradient having less variance than the adversarial one. "
            "Here both are measured on the networks of a real game, for every way to estimate the second.",
        ),
        "ablations": (
            "Which part of KDGAN earns what it gains?",
            "Each row takes one part away, or puts something simpler in its place.",
        ),
        "judges": (
            "What is a discriminator worth that learns?",
            "KDGAN beside itself without the game, and with a judge that only knows the labels, on more seeds than the "
            "other ablations.",
        ),
        "sizes": (
            "How small can the student be?",
            "The same methods with students of six widths.",
        ),
    }
)
"""By study: the question, and what was done."""


def write_page(study: str, folder: Path, path: Path) -> None:
    """Writes the page of a study from its raw figures in `folder`; same figures, same bytes."""
    title, text = TEXTS[study]
    parts = [f'<div class="lead"><p>{escape(GAME)}</p><p>{escape(text)}</p></div>']
    if study in FIGURES:
        draw, caption = FIGURES[study]
        svg = to_svg(draw(folder), study)
        parts.append(
            f'<figure><div class="wide" role="img" aria-label="{escape(caption)}">{svg}</div>'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )
    table = TABLES[study](folder)
    head = "".join(f"<th>{escape(header)}</th>" for header in table.headers)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    parts.append(
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
    )
    parts.append(f'<p class="note">{escape(table.note)}</p>')
    room = files("kdgan.experiments")
    page = Template((room / "study.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        style=(room / "page.css").read_text(encoding="utf-8"),
        body="\n".join(parts),
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
