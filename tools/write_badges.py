"""Write the README's badges and the notebooks' first cells anew, from the repository's address in pyproject.toml.

    python tools/write_badges.py
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
START = "notebooks/00_start_here.ipynb"
BLOCK = re.compile(r"(?<=<!-- badges: tools/write_badges.py -->\n).*?(?=<!-- end of badges -->)", re.DOTALL)

INSTALL = re.compile(r"(?<=uslab\[tasks\] @ git\+)[^\\\"]+")     # of a notebook's first cell, in its file


def badges(
    address: str,    # of the repository on GitHub
) -> str:
    """The badges as Markdown."""
    name = address.removeprefix("https://github.com/")
    workflow, binder = f"{address}/actions/workflows/ci.yml", "https://mybinder.org"
    colab = "https://colab.research.google.com"
    return "\n".join([
        f"[![CI]({workflow}/badge.svg)]({workflow})",
        f"[![Binder]({binder}/badge_logo.svg)]({binder}/v2/gh/{name}/HEAD?urlpath=lab/tree/{START})",
        f"[![Colab]({colab}/assets/colab-badge.svg)]({colab}/github/{name}/blob/main/{START})",
        f"[![Codespaces](https://github.com/codespaces/badge.svg)](https://codespaces.new/{name})",
    ]) + "\n"


def address() -> str:
    """The repository's address."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]


if __name__ == "__main__":
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(BLOCK.sub(lambda _: badges(address()), text), encoding="utf-8")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        text = path.read_text(encoding="utf-8")
        path.write_text(INSTALL.sub(lambda _: address(), text), encoding="utf-8")
