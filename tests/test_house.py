"""The house stands as it is drawn: rooms on floors, imports that only go down, no circle, no crowd at the top."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "uslab"
# From the ground up. A file imports from lower floors and from its own room.
FLOORS = [
    {"score", "pages", "data"},
    {"models", "metrics", "notebooks"},
    {"phantom", "training", "generators", "tasks", "study", "widgets", "sweeps"},
    {"reader", "course"},
    {"cli"},
]
FLOOR = {"__init__": 0} | {room: number for number, rooms in enumerate(FLOORS, 1) for room in rooms}
# These import by a name that they compute. All but one only do so in their own room; data/source.py, the one way in,
# reaches by a table what lies above it, since a run, a generator and a phantom are places that images come from.
BY_NAME = {"data/__init__.py", "data/source.py", "models/store.py", "phantom/__init__.py", "study/__init__.py"}

FILES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def room(path: Path) -> str:
    """The first folder below uslab/, or the file's own name at the top."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def file_of(module: str) -> Path | None:
    """The file of a module of the package, None for a name that is no module."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file in FILES), None)


def imports(path: Path) -> set[Path]:
    """The files of the package that a file imports, at its top or inside a function, but not for its types alone."""
    package = ["uslab", *path.relative_to(PACKAGE).parent.parts]
    typing = {inner for node in ast.walk(FILES[path]) if isinstance(node, ast.If)
              and getattr(node.test, "id", "") == "TYPE_CHECKING" for inner in ast.walk(node)}
    found = set()
    for node in {*ast.walk(FILES[path])} - typing:
        if isinstance(node, ast.Import):
            found |= {file_of(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[:len(package) + 1 - node.level] if node.level else []
            module = ".".join([*start, *filter(None, [node.module])])
            found |= {file_of(f"{module}.{alias.name}") or file_of(module) for alias in node.names}
    return found - {None}


def test_only_folders_and_score_stand_at_the_top():
    inside = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert {name for name in inside if "." in name} == {"__init__.py", "score.py"}
    assert len(inside) <= 17
    assert inside - {"__init__.py", "score.py"} <= set(FLOOR)


def test_a_file_imports_only_from_lower_floors_and_its_own_room():
    wrong = [f"{path.relative_to(PACKAGE)} imports {other.relative_to(PACKAGE)}"
             for path in FILES for other in sorted(imports(path))
             if room(path) != room(other) and FLOOR[room(path)] <= FLOOR[room(other)]]
    assert not wrong, "\n".join(wrong)


def test_no_file_imports_itself_through_others():
    try:
        TopologicalSorter({path: imports(path) - {path} for path in FILES}).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(str(path.relative_to(PACKAGE)) for path in error.args[1]))


def test_modules_are_imported_by_a_computed_name_only_where_the_house_says_so():
    calls = {str(path.relative_to(PACKAGE)) for path, tree in FILES.items() for node in ast.walk(tree)
             if isinstance(node, ast.Attribute) and node.attr == "import_module"}
    assert calls == BY_NAME
