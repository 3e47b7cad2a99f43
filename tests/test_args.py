"""What a notebook calls says in its docstring what to give, since `name?` in Jupyter shows no comments."""

import ast
import importlib
import inspect
import json
import re
from dataclasses import is_dataclass
from pathlib import Path

import pytest

ROOMS = ("data", "metrics", "notebooks", "phantom", "study", "tasks", "training", "widgets")


def called() -> dict[str, object]:
    """By name the functions and classes in the rooms' __all__ that notebooks call, or the classmethods of such."""
    found = {}
    for path in sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb")):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        tree = ast.parse("\n".join("".join(cell["source"]) for cell in cells))
        places = {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in ast.walk(tree)
                  if isinstance(node, ast.ImportFrom) for alias in node.names}
        names = [ast.unparse(node.func).split(".") for node in ast.walk(tree) if isinstance(node, ast.Call)]
        for first, *rest in (parts for parts in names if all(map(str.isidentifier, parts))):
            top, room, name, *more = [*places.get(first, first).split("."), *rest, "", ""][:4]
            module = importlib.import_module(f"uslab.{room}") if top == "uslab" and room in ROOMS else None
            if name in getattr(module, "__all__", ()):
                thing = getattr(module, name)
                if inspect.isclass(thing) and inspect.ismethod(method := getattr(thing, more[0], None)):
                    found[f"{room}.{name}.{more[0]}"] = method
                elif not is_dataclass(thing):
                    found[f"{room}.{name}"] = thing
    return found


CALLED = called()


def test_the_notebooks_call_the_rooms():
    assert len(CALLED) >= 25 and {"data.open", "metrics.fid", "study.Study.build", "training.Run"} <= CALLED.keys()


@pytest.mark.parametrize("name", CALLED)
def test_the_docstring_names_every_argument(name):
    thing = CALLED[name]
    made = thing.__init__ if inspect.isclass(thing) else thing     # early 3.11 asks a base's __new__ for a class's own
    names = [parameter for parameter in inspect.signature(made).parameters if parameter not in ("self", "cls")]
    section = inspect.cleandoc(thing.__doc__).partition("Args:\n")[2]
    assert re.findall(r"^    \*{0,2}(\w+): \S", section, re.MULTILINE) == names
