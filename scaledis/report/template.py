"""Self-contained pages from files: <name>.html filled with its style, its script, and its data as JSON."""

import json
import re
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

ASSETS = resources.files("scaledis.report") / "assets"


def fill(assets: Traversable, name: str, sections: Sequence[str] = (), **parts: str) -> str:
    """<name>.html of `assets`, with each part in the place {{...}} of its name.

    `style` and `script` are <name>.css and <name>.js behind the base that all pages share, and behind those of
    `sections` of the page. The caller escapes the parts, which are not filled again.
    """
    for kind, ending in (("style", "css"), ("script", "js")):
        files = [ASSETS / f"base.{ending}", *(assets / f"{each}.{ending}" for each in (*sections, name))]
        parts[kind] = "".join(file.read_text("utf-8") for file in files)
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], (assets / f"{name}.html").read_text("utf-8"))


def as_json(value: Any) -> str:
    """JSON that may stand in a script element: nothing in it ends the element or begins a comment."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
