"""The rooms of the package: imports run one way, and never in a circle."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import scaledis

ROOT = Path(scaledis.__file__).parent
ORDER = (
    *("core", "config", "types", "model", "objectives", "networks", "datasets", "methods", "metrics"),
    *("sweeps", "workdir", "training", "search", "planning", "sklearn", "models", "report", "figures"),
    *("commands", "main"),
)
DOOR = "__init__"  # imports whatever it shows, once that is asked for


def modules() -> dict[str, Path]:
    """The path of each module by its dotted name, the package's own left out."""
    names = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == DOOR and len(parts) > 1 else parts)] = path
    return names


def imports(path: Path, names: dict[str, Path]) -> Iterator[str]:
    """The modules of this package that a module imports, also inside its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "scaledis":
            inside = node.module.partition(".")[2]
            for alias in node.names:
                nested = f"{inside}.{alias.name}".lstrip(".")
                yield nested if nested in names else inside


def graph() -> dict[str, set[str]]:
    names = modules()
    return {name: {*imports(path, names)} - {name, ""} for name, path in names.items() if name != DOOR}


def test_every_module_is_in_a_room_and_imports_only_from_rooms_below_it():
    place = {room: number for number, room in enumerate(ORDER)}
    upward = [
        f"{name} imports {other}"
        for name, others in graph().items()
        for other in others
        if place[other.split(".")[0]] > place[name.split(".")[0]]
    ]
    assert not upward


def test_no_import_is_part_of_a_circle():
    order = [*TopologicalSorter(graph()).static_order()]  # raises CycleError, which names the circle
    assert len(order) > 100 and order.index("core.errors") < order.index("training.loop")
