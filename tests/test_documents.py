"""What documents and help say can be followed: links lead somewhere, examples name what is there."""

import re
import shlex
from pathlib import Path

import pytest

from uslab import notebooks
from uslab.cli.main import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_links_of_a_document_lead_somewhere(path):
    links = re.findall(r"\]\(([^)\s#]+)", path.read_text(encoding="utf-8"))
    assert not [link for link in links if "://" not in link and not (path.parent / link).exists()]


def test_the_examples_of_run_set_what_the_notebook_has(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    examples = [shlex.split(line.split("   ")[0]) for line in capsys.readouterr().out.splitlines()
                if line.startswith("  uslab run 0")]
    assert len(examples) == 2
    for words in examples:
        notebook, = notebooks.find([words[2]])
        names = {words[i + 1] for i, word in enumerate(words) if word == "-p"}
        assert names <= set(notebooks.defaults(notebook)), words
