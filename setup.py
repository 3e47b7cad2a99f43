"""The package itself is described in pyproject.toml; a wheel also carries the notebooks, data cards and documents."""

from pathlib import Path
from shutil import copytree, ignore_patterns

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPy(build_py):
    """Puts notebooks/, data_cards/ and docs/ into the wheel, as uslab/bundle."""

    def run(self):
        super().run()
        for name in () if self.editable_mode else ("notebooks", "data_cards", "docs"):
            copytree(name, Path(self.build_lib, "uslab", "bundle", name), dirs_exist_ok=True,
                     ignore=ignore_patterns(".*"))


setup(cmdclass={"build_py": BuildPy})
