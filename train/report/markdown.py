"""Cards in Markdown: templates beside the code that fills them, in which what others wrote cannot mark up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.files import canonical_json
from train.report.hardest import visible
from train.report.numbers import FORMS

if TYPE_CHECKING:
    from jinja2 import Environment

_MARKS = re.compile(r"([\\`*_{}\[\]<>|#~$&])")


def templates(folder: Path) -> Environment:
    """Jinja2 over a folder's templates, with the filters md, yaml and those of numbers.py."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # Markdown, not HTML: `md` escapes what others wrote
        loader=FileSystemLoader(folder),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"md": escaped, "yaml": canonical_json, **FORMS}
    return environment


def escaped(said: Any) -> str:
    """A name or sentence of somebody else as Markdown shows it: one line, no mark-up, nothing invisible."""
    return _MARKS.sub(r"\\\1", visible(" ".join(str(said).split())))
