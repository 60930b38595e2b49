"""python -m train.deploy --repo user/space: create or update a Hugging Face Space that runs the page."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from ganlib import checkpoint, hub
from ganlib.checks import listed, require

from .command import command
from .publish import show

ROOT = Path(__file__).resolve().parents[1]
README, PICTURE = "README.md", "docs/page.png"
# needed beside the package and the weights; the README links to the last one
TOP_LEVEL = ("app.py", "requirements.txt", "LICENSE", README, "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", PICTURE,
             "tests/extension/stripes.py")
PACKAGE_FILES = (".py", ".typed", ".css", ".svg", ".html", ".js", ".json", ".png", ".gz", ".md")  # of the package
PRELOADED = (checkpoint.CONFIG, checkpoint.GENERATOR, checkpoint.METRICS, checkpoint.HISTORY)  # files of every model
HARDWARE = "cpu-basic"
MODELS = "GANLIB_MODELS"  # the page's environment variable that names models on the Hub


def space_files(root: Path, repo: str, hardware: str | None = None, models: Sequence[hub.Source] = (),
                current: str = "") -> dict[str, Path | bytes]:
    """The files of a checkout that the page needs, by their names in a Space. The README's front matter is changed.

    Args:
        root: the checkout.
        repo: the Space.
        hardware: the Hub's name of it, such as "cpu-basic"; None for that of `current`.
        models: models on the Hub that the page shows too; none for those of `current`.
        current: the README that the Space has.

    Raises ValueError if the root is not a checkout of ganlib, and WeightsError as `checkpoint.files`.
    """
    missing = [name for name in (*TOP_LEVEL, "ganlib") if not (root / name).exists()]
    require(not missing, f"{root} is not a checkout of ganlib: it has no {', '.join(missing)}")
    package = [path for path in (root / "ganlib").rglob("*")
               if path.is_file() and path.suffix in PACKAGE_FILES
               and not any(part.startswith(".") for part in path.relative_to(root).parts)]
    documents = [path for path in (root / PICTURE).parent.rglob("*")
                 if path.suffix in (".png", ".gif", ".md", ".ipynb")]
    weights = [path for folder in (root / "weights").iterdir() if (folder / checkpoint.CONFIG).is_file()
               for path in checkpoint.files(folder)]
    files: dict[str, Path | bytes] = {path.relative_to(root).as_posix(): path for path in (
        *(root / name for name in TOP_LEVEL), *documents, *package, *weights)}
    card, known = hub.card((root / README).read_text(encoding="utf-8")), hub.card(current).data
    if models:
        known["models"] = list(dict.fromkeys(source.repo for source in models))
        known["preload_from_hub"] = [item for source in models if (item := preload_item(source))]
    card.data["suggested_hardware"] = hardware or known.get("suggested_hardware", HARDWARE)
    card.data["thumbnail"] = f"https://huggingface.co/spaces/{repo}/resolve/main/{PICTURE}"
    for key in ("models", "preload_from_hub"):
        if known.get(key):
            card.data[key] = known[key]
    return {**files, README: str(card).encode()}


def preload_item(source: hub.Source) -> str | None:
    """A model as an item of a Space's preload_from_hub: "repo file,file" or "repo file,file commit".

    Only files that every model has are named, because a build may stop at one that is missing. The Space downloads the
    others when the model is first used. None for a branch or a tag, which an item cannot name.
    """
    if source.revision is not None and not re.fullmatch("[0-9a-f]{40}", source.revision):
        return None
    names = ",".join(f"{source.subfolder}/{name}".lstrip("/") for name in PRELOADED)
    return " ".join(filter(None, (source.repo, names, source.revision)))


def sources(names: str) -> list[hub.Source]:
    """The models on the Hub that a comma-separated list names, each as in `hub.parse`.

    Raises ValueError for any other name, and HubError as `hub.parse`.
    """
    found = {name: hub.parse(name) for name in filter(None, map(str.strip, names.split(",")))}
    wrong = [name for name, source in found.items() if source is None]
    require(not wrong, f"a model on the Hub is named user/repo, user/repo@revision or user/repo/subfolder, not "
                       f"{listed(wrong)}")
    return list(dict.fromkeys(found.values()))


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m train.deploy",
        description="Create or update a Gradio Space on the Hugging Face Hub that shows the page with the weights of "
                    "this checkout, in one commit. The token is that of `hf auth login`, or HF_TOKEN.")
    p.add_argument("--repo", required=True, metavar="USER/SPACE", help="the Space, which is created if it is missing")
    p.add_argument("--hardware", metavar="FLAVOUR",
                   help=f"the Hub's name of it, such as zero-a10g (default: unchanged, {HARDWARE} for a new Space)")
    p.add_argument("--models", default="", metavar="USER/REPO,...",
                   help=f"models on the Hub that the page shows too, set as the Space's variable {MODELS}; private "
                        f"ones need a secret HF_TOKEN in the Space (default: unchanged)")
    p.add_argument("--private", action="store_true", help="make the Space private (default: as the account does)")
    p.add_argument("--dry-run", action="store_true", help="list the files, and send nothing (default: send them)")
    return p


def work(arguments: argparse.Namespace) -> None:
    repo = hub.check_repo(arguments.repo, repo_type="space")
    models = sources(arguments.models)
    current = "" if arguments.dry_run else hub.space_readme(repo)
    publication = hub.Publication(repo, space_files(ROOT, repo, arguments.hardware, models, current))
    show(publication)
    variables = {MODELS: ",".join(map(str, models))} if models else {}
    for name, value in variables.items():
        print(f"{name}={value}")
    if not arguments.dry_run:
        address = hub.deploy(publication, private=arguments.private or None, hardware=arguments.hardware,
                             variables=variables)
        print(f"Sent: {address}\nThe Space is being built: {address.partition('/commit/')[0]}")


main = command(parser, work, "stopped; the same command does what is left to do")

if __name__ == "__main__":
    sys.exit(main())
