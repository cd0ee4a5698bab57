"""What several tests share. `tests.tiny` has a data set and a config so small that a test trains in seconds."""

import ast
import doctest
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np

import scaledis


def assert_same(one: Any, other: Any) -> None:
    """Two pytrees are equal, bit for bit."""
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def example_of(section: str, page: str = "docs/extending.md") -> str:
    """The one block of Python in a section of a page."""
    text = (Path(__file__).parents[1] / page).read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return code


def doors() -> list[str]:
    """The names that scaledis/__init__.py imports for others."""
    tree = ast.parse(Path(scaledis.__file__).read_text())
    aliases = [alias for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    return [alias.asname for alias in aliases if alias.asname and not alias.asname.startswith("_")]


def doctested(thing: Any, **names: Any) -> None:
    """Runs the example in the docstring of a function or a class."""
    test = doctest.DocTestParser().get_doctest(thing.__doc__, {thing.__name__: thing, **names}, thing.__name__, None, 0)
    said: list[str] = []
    assert test.examples
    assert not doctest.DocTestRunner(verbose=False).run(test, out=said.append).failed, "".join(said)
