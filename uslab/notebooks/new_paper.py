"""A further paper's files in a checkout: model, notebook, profiles, sweep and tests, which run as they are."""

import keyword
import re
from collections.abc import Callable
from pathlib import Path

from ..data.atomic import write_text
from ..pages import environment
from .parameters import UsageError, bundle

# What is made, by its template, and what is added to, by the template of the addition or the line itself.
FILES = {"model.py": "uslab/models/{module}.py", "notebook": "notebooks/{stem}.ipynb",
         "smoke.yaml": "notebooks/profiles/{stem}.smoke.yaml", "paper.yaml": "notebooks/profiles/{stem}.paper.yaml",
         "sweep.yaml": "notebooks/sweeps/{stem}.yaml", "test.py": "tests/test_{module}.py"}
MODELS, EXERCISES, README = "uslab/models/store.py", "uslab/widgets/exercises.yaml", "README.md"


def make(
    name: str,     # the model's class, such as WGAN
    organ: str,    # a phantom scene, on which its notebook trains
) -> list[Path]:
    """Write the files of a paper into this checkout, register its model, and return the paths of what is new.

    Raises UsageError, before anything is written, for a name that is none or taken, or outside a checkout.
    """
    root, module = bundle(), name.lower()
    if not (root / "tests").is_dir():
        raise UsageError("a paper is added to a checkout of the repository, and this is an installed package")
    if not re.fullmatch("[A-Z][A-Za-z0-9]*", name) or keyword.iskeyword(module):
        raise UsageError(f"{name!r} is no name of a class: take letters and digits, a capital first, as in WGAN")
    taken = sorted(path.name for path in (root / "uslab" / "models").glob("*.py") if path.stem == module)
    stem = f"{following(root):02}_{module}_{organ}"
    values = {"name": name, "module": module, "organ": organ, "words": organ.replace("_", " "), "stem": stem}
    places = {part: root / path.format(**values) for part, path in FILES.items()}
    there = [str(path.relative_to(root)) for path in places.values() if path.exists()]
    if taken or there:
        raise UsageError(f"{', '.join(there or taken)} is there already: take another name than {name}")
    added = {root / MODELS: registered(name, module), root / EXERCISES: asked(values), root / README: listed(values)}
    changed = {path: change(path.read_text(encoding="utf-8")) for path, change in added.items()}
    texts = {part: filled(part, values) for part in FILES}
    texts["notebook"] = notebook(texts["notebook"], root)
    for part, path in places.items():
        write_text(path, texts[part])
    for path, text in changed.items():
        write_text(path, text)
    return list(places.values())


def following(root: Path) -> int:
    """The number of the next notebook."""
    return 1 + max(int(path.name[:2]) for path in (root / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def filled(part: str, values: dict[str, str]) -> str:
    """A template of a paper with the names in it."""
    templates = environment(escape=False)
    templates.filters["imported"] = imported
    return templates.get_template(f"paper/{part}.j2").render(values) + "\n"


def imported(names: list[str]) -> str:
    """Names of classes in the order of an import: those all in capitals first."""
    return ", ".join(sorted(names, key=lambda name: (not name.isupper(), name)))


def notebook(text: str, root: Path) -> str:
    """The notebook of cells that follow lines such as '%% code key-picture', the first of code as in the others."""
    from nbformat import read, writes
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    makers, cells = {"code": new_code_cell, "markdown": new_markdown_cell}, []
    for part in re.split(r"^%% ", text, flags=re.MULTILINE)[1:]:
        head, _, source = part.partition("\n")
        kind, *tags = head.split()
        cells.append(makers[kind](source.rstrip(), metadata={"tags": tags}, id=f"cell-{len(cells):02}"))
    cells.insert(1, read(root / "notebooks" / "00_start_here.ipynb", 4).cells[1])    # installs what is missing
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return writes(new_notebook(cells=cells, metadata={"kernelspec": kernel})) + "\n"


# What is added to files that are there

def registered(name: str, module: str) -> Callable[[str], str]:
    """Adds the model to MODELS."""
    line = f',\n          "{name}": "{module}"}}'
    return lambda text: re.sub(r"(?<=^MODELS = )(\{[^}]*)\}", rf"\1{line}", text, flags=re.MULTILINE)


def asked(values: dict[str, str]) -> Callable[[str], str]:
    """Adds the answers of the notebook's exercises."""
    return lambda text: text.rstrip() + "\n" + filled("exercises.yaml", values).rstrip() + "\n"


def listed(values: dict[str, str]) -> Callable[[str], str]:
    """Adds the notebook to the README's table, after the last of its numbered ones."""
    row = "| [{}]({}) | TODO | phantom | 30 s / TODO |\n".format(
        f"{values['stem'][:2]} {values['name']}, {values['words']}", f"notebooks/{values['stem']}.ipynb")
    return lambda text: re.sub(r"((?:^\| \[\d\d .*\n)+)", lambda rows: rows[1] + row, text, count=1, flags=re.MULTILINE)
