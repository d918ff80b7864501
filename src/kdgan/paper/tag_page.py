"""The page of a comparison in tag recommendation: the table, and photos with what each method recommends."""

from __future__ import annotations

import base64
import io
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kdgan.errors import UsageError
from kdgan.files import replacing
from kdgan.paper.tag_comparison import HEADERS, ComparedTags, table2
from kdgan.tagging.images.features import read_image
from kdgan.tasks.tags import TagTask
from kdgan.tagging.scenes import world
from kdgan.training.config import Config

_LEAD = (
    "At training time each photo comes with the text that its owner wrote; later there is the photo alone. Teacher "
    "and discriminator see both, the student sees the photo, and so do the baselines. The row of the teacher is "
    "what the text is worth: an upper bound, no competitor. Values are means over seeds on test photos, in [0, 1]; "
    "± half of the 95 % interval, differences paired by seed. Published values were measured on other photos."
)


def write_tag_page(path: Path, base: Config, found: ComparedTags) -> None:
    """Writes the page, with the first test photos of the first seed; without pictures where there are none."""
    task = TagTask(base)
    head = "".join(f"<th>{escape(header)}</th>" for header in HEADERS)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in table2(found.records)
    )
    note = " These scenes are generated: nothing here is a photograph." if base.data == "world" else ""
    body = (
        f'<div class="lead"><p>{escape(_LEAD + note)}</p></div>\n'
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>\n'
        f"<h2>What is recommended</h2>\n{_examples(task, base, found)}"
    )
    room = files("kdgan.experiments")
    page = Template((room / "study.html").read_text(encoding="utf-8")).substitute(
        title="Which method recommends the right tags?",
        style=(room / "page.css").read_text(encoding="utf-8"),
        body=body,
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _examples(task: TagTask, base: Config, found: ComparedTags) -> str:
    parts = []
    count = min((len(rows) for rows in found.examples.values()), default=0)
    for index, row in enumerate(task.data.rows["test"][:count]):
        true = [task.data.tags[place] for place in np.flatnonzero(task.data.targets[row])]
        lines = "".join(
            f"<tr><th>{escape(method)}</th><td>{_marked(tags[index], true)}</td></tr>"
            for method, tags in found.examples.items()
        )
        picture = _picture(task.data.names[row], int(row), base)
        shown = "" if picture is None else f'<img alt="" width="160" height="160" src="{_data(picture)}">'
        parts.append(
            f"<figure>{shown}<figcaption>{escape(task.data.names[row])}, its own tags: {escape(', '.join(true))}"
            f'</figcaption><table class="facts"><tbody>{lines}</tbody></table></figure>'
        )
    return "\n".join(parts)


def _marked(tags: list[str], true: list[str]) -> str:
    return ", ".join(f"<strong>{escape(tag)}</strong>" if tag in true else escape(tag) for tag in tags)


def _picture(name: str, row: int, base: Config) -> NDArray[np.uint8] | None:
    if base.data == "world":
        scene: NDArray[np.uint8] = world().pictures[row]
        return scene
    folder = Path(base.data).resolve().parent
    path = (folder / name).resolve()
    # A name out of a table must not reach beyond the table's own folder.
    if not path.is_relative_to(folder):
        return None
    try:
        picture: NDArray[np.uint8] = read_image(path, 160).transpose(1, 2, 0)
    except UsageError:
        return None  # a table of features need not have images beside it
    return picture


def _data(picture: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).resize((160, 160), Image.Resampling.NEAREST).save(
        buffer, "PNG"
    )
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
