"""Write the README's badges anew, from the repository's address in pyproject.toml, the one place where it stands.

    python tools/write_badges.py
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
START = "notebooks/00_start_here.ipynb"
BLOCK = re.compile(r"(?<=<!-- badges: tools/write_badges.py -->\n).*?(?=<!-- end of badges -->)", re.DOTALL)


def badges(
    address: str,    # of the repository on GitHub
) -> str:
    """The badges as Markdown, and what to run first in Colab."""
    name = address.removeprefix("https://github.com/")
    workflow, binder = f"{address}/actions/workflows/ci.yml", "https://mybinder.org"
    colab = "https://colab.research.google.com"
    return "\n".join([
        f"[![CI]({workflow}/badge.svg)]({workflow})",
        f"[![Binder]({binder}/badge_logo.svg)]({binder}/v2/gh/{name}/HEAD?urlpath=lab/tree/{START})",
        f"[![Colab]({colab}/assets/colab-badge.svg)]({colab}/github/{name}/blob/main/{START})",
        f"[![Codespaces](https://github.com/codespaces/badge.svg)](https://codespaces.new/{name})",
        "",
        f"In Colab, run this in a new first cell: `%pip install git+{address}`",
    ]) + "\n"


def address() -> str:
    """The repository's address."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"]


if __name__ == "__main__":
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(BLOCK.sub(lambda _: badges(address()), text), encoding="utf-8")
