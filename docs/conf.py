"""The site: `make docs`. Lists of methods, metrics, keys and doors come from the package; none is kept by hand."""

import importlib
import inspect
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

import scaledis  # noqa: E402
from scaledis import methods, metrics, objectives  # noqa: E402
from scaledis.metrics import of_models  # noqa: E402
from scaledis.report import describe  # noqa: E402

project, author, release = "scaledis", "the scaledis authors", scaledis.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["generated", "_build"]
html_theme, html_title = "furo", "scaledis"
myst_heading_anchors = 3
napoleon_use_ivar = True
highlight_language = "text"
autodoc_typehints, autodoc_preserve_defaults = "signature", True
SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Example|Examples):")


def of_method(name, spec):
    """The section of a method: one line, its equation, its keys."""
    kind = "flat" if spec.flat else "a ladder"
    table = of_keys(describe.hyperparameters(spec)) if spec.hyperparameters else ["No hyperparameters."]
    about = f"{kind}; {spec.about} {spec.identity}"
    return [f"### `{name}`", "", about, "", "```text", spec.equation, "```", "", *table, ""]


def of_keys(keys):
    """A row for each key: default, bounds, meaning."""
    rows = [
        f"| `{key.name}` | {f'`{key.default}`' if key.default else 'empty'} | {key.bounds} | {bars(key.about)} |"
        for key in keys
    ]
    return ["| key | default | values | meaning |", "| --- | --- | --- | --- |", *rows]


def bars(words):
    """Words without the bars that end a cell: |x| is abs(x)."""
    return re.sub(r"\|([^|]*)\|", r"abs(\1)", words)


def of_functions(package, names, member=None):
    """The section of each module of a package: its first line, then what autodoc knows."""
    lines = []
    for name in names:
        module = importlib.import_module(f"{package.__name__}.{name}")
        directive = (
            f".. autofunction:: {module.__name__}.{member}"
            if member
            else f".. automodule:: {module.__name__}\n   :members:"
        )
        first = (inspect.getdoc(module) or "").partition("\n")[0] if member else ""
        lines += [f"### `{name}`", "", first, "", "```{eval-rst}", directive, "```", ""]
    return lines


def of_specs():
    """A row for each metric: what it declares of groups and intervals."""
    lines = ["| metric | a group of units is | intervals draw |", "| --- | --- | --- |"]
    for name in metrics.names():
        spec = metrics.spec(name)
        drawn = ", ".join(f"`{score}`: {rows}" for score, rows in spec.intervals.items())
        lines.append(f"| `{name}` | {spec.groups or 'refused'} | {drawn} |")
    return lines


def of_doors():
    """A section for each name of scaledis/__init__.py."""
    lines = []
    for name in sorted(re.findall(r"^    from \S+ import \w+ as (\w+)$", inspect.getsource(scaledis), re.MULTILINE)):
        kind = "autoclass" if inspect.isclass(getattr(scaledis, name)) else "autofunction"
        signature = "()" if name in ("Config", "Network") else ""  # their fields fill a page
        lines += ["```{eval-rst}", f".. {kind}:: scaledis.{name}{signature}", "```", ""]
    return lines


def generate():
    """Writes docs/generated/*.md, which the pages include."""
    pages = {
        "doors": of_doors(),
        "keys": of_keys(describe.keys()),
        "methods": [line for name, spec in sorted(methods.specs().items()) for line in of_method(name, spec)],
        "specs": of_specs(),
        "metrics": ["```{eval-rst}", ".. automodule:: scaledis.metrics", "```", ""]
        + of_functions(metrics, metrics.names(), "compute")
        + [line.replace("### `", "### of models: `") for line in of_functions(of_models, of_models.names(), "compute")],
        "objectives": of_functions(
            objectives, sorted(path.stem for path in Path(objectives.__file__).parent.glob("[a-z]*.py"))
        ),
    }
    (DOCS / "generated").mkdir(exist_ok=True)
    for name, lines in pages.items():
        (DOCS / "generated" / f"{name}.md").write_text("\n".join(lines))


def as_restructured_text(app, what, name, thing, options, lines):
    """Docstrings are plain text: single backticks hold code; a block indented after an empty line is an equation."""
    result, inside, literal = [], False, False
    for line in lines:
        indented = line.startswith("    ") and not inside
        inside = inside and (line.startswith(" ") or not line) or bool(SECTION.fullmatch(line))
        if indented and not literal and result and not result[-1]:
            result[-1:] = ["", "::", ""]
            literal = True
        literal = literal and (indented or not line)
        if line.lstrip().startswith("- ") and result and result[-1] and not result[-1].lstrip().startswith("- "):
            result += [""] if not result[-1].startswith("  ") else []
        if line == "Returns:":  # as a field, since napoleon takes what stands before a colon for a type
            line = ":returns:"
        elif what == "class" and line.partition(":")[0].partition(",")[0] in getattr(thing, "_fields", ()):
            result.append("")  # each field of a NamedTuple is a paragraph
        result.append(line if literal or line.lstrip().startswith(">>>") else escaped(line))
    lines[:] = result


def escaped(line):
    """Marks of reStructuredText outside of backticks as plain letters, and code in double backticks."""
    parts = line.split("`")
    parts[::2] = [re.sub(r"([*|])|(?<=\w)(_)(?!\w)", lambda mark: "\\" + mark.group(), part) for part in parts[::2]]
    return "``".join(parts)


def as_site(app, name, source):
    """What a page links to outside of docs/ is a file to download, not a page."""
    source[0] = re.sub(r"(?<!!)(\[[^\]]*\]\()(\.\./|slurm\.sh|jobset\.yaml)", r"\1path:\2", source[0])


def setup(app):
    generate()
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)
    app.connect("source-read", as_site)
