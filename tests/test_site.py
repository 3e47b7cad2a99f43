"""The site: every page builds without a warning, no link is dead, and nothing has to be fetched."""

import re
import subprocess
import sys

import pytest

from uslab import generators, metrics, notebooks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    project = notebooks.folder().parent
    done = subprocess.run([sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", "-c", "docs", "-d",
                           str(folder / ".doctrees"), ".", str(folder)], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr       # -W: a link to a page or heading that is not there is an error
    return folder


def test_the_course_the_cards_and_the_claims_are_pages(site):
    pages = {str(path.relative_to(site).with_suffix("")) for path in site.glob("**/*.html")}
    assert {f"notebooks/{path.stem}" for path in notebooks.find([])} <= pages
    assert {f"uslab/generators/{name}/card" for name in generators.names()} <= pages
    assert {"docs/claims", "docs/lecturer", "docs/licences", "data_cards/busi", "README", "index"} <= pages
    text = (site / "notebooks" / "01_dcgan_fetal_head.html").read_text()
    assert text.count("<img") > 5 and "<math" in text, "a notebook stands there with its outputs and formulas"


def test_commands_and_functions_are_those_of_the_code(site):
    commands, api = ((site / "docs" / f"{name}.html").read_text() for name in ("commands", "api"))
    assert "uslab study build" in commands and "--profile" in commands and "uslab new-paper" in commands
    assert all(f'id="uslab.metrics.{name}"' in api for name in metrics.__all__)
    assert 'id="uslab.data.open"' in api, "what is imported when it is first named is there, too"


def test_every_link_leads_somewhere_and_nothing_is_fetched(site):
    for path in site.glob("**/*.html"):
        text = path.read_text()
        assert not re.search(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="(?:https?:)?//', text), path
        for link in re.findall(r'<a [^>]*href="([^"#?]+)', text):
            assert re.match("https?:|mailto:", link) or (path.parent / link).exists(), f"{path}: {link}"
