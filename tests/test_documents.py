"""The documents: examples run, links lead somewhere, versions agree."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import ganlib

ROOT = Path(__file__).parents[1]
DOCUMENTS = [path for folder in (ROOT, ROOT / "docs") for path in sorted(folder.glob("*.md"))]


def run(code: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=folder, text=True, capture_output=True,
                          timeout=600)
    assert done.returncode == 0, done.stderr


def headings(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub names them."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(document):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", document.read_text(encoding="utf-8")):
        path = (document.parent / target) if target else document
        assert path.exists(), target
        assert not anchor or anchor in headings(path), anchor


def test_the_readmes_python_runs(tmp_path):
    # what calls the page is in test_readme_examples
    text, _, _ = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## For programs\n")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    code = "\n".join(blocks) + "\nassert points.shape == (500, 2)"
    for long, short in (("recipe.train)", "__import__('dataclasses').replace(recipe.train, steps=20))"),
                        ("% 1000", "% 10")):  # ten thousand steps are more than a test can wait for
        assert long in code
        code = code.replace(long, short)
    run(code, tmp_path)


def test_the_example_of_the_package_runs(tmp_path):
    lines = [line.strip() for line in ganlib.__doc__.splitlines() if line.startswith("    ")]
    assert len(lines) >= 3
    run("\n".join(lines) + "\nassert x.shape == (16, 1, 28, 28)", tmp_path)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    notebook = json.loads((ROOT / "docs" / "ganlib.ipynb").read_text(encoding="utf-8"))
    run("\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"), tmp_path)


@pytest.mark.slow
def test_the_api_documentation_is_made_without_warnings(tmp_path):
    modules = ["ganlib", *(f"ganlib.{path.stem}" for path in (ROOT / "ganlib").glob("[a-z]*.py"))]
    done = subprocess.run([sys.executable, "-W", "error", "-m", "pdoc", "--docformat", "google", "-o", tmp_path,
                           *modules], cwd=ROOT, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr.lower()
    page = (tmp_path / "ganlib" / "model.html").read_text(encoding="utf-8")
    assert all(f'id="Model.{name}"' in page for name in ("sample", "interpolate", "discriminate"))


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == ganlib.__version__


def test_workflows_run_commands_of_the_makefile_and_the_package():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
        steps = [step for job in jobs.values() for step in job["steps"] if "run" in step]
        assert steps
        for step in steps:
            for made in re.findall(r"^make (.*)$", step["run"], re.MULTILINE):
                assert set(made.split()) <= targets
