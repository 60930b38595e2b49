"""python -m train.deploy --repo user/space: make a Hugging Face Space of the page, or bring one up to date."""

import argparse
import re
import sys
from pathlib import Path

from ganlib import checkpoint, hub
from train.command import command
from train.publish import show

ROOT = Path(__file__).resolve().parents[1]
README, PICTURE = "README.md", "docs/page.png"
# beside the package and the weights; the README links to the last
WHOLE = ("app.py", "requirements.txt", "LICENSE", README, PICTURE, "tests/extension/stripes.py")
HARDWARE = "cpu-basic"
MODELS = "GANLIB_MODELS"  # the variable that names models of the Hub to the page
COMMIT = re.compile("[0-9a-f]{40}")
PACKAGED = (".py", ".css", ".svg")  # what belongs of the package
DOCUMENTS = (".png", ".md")  # what the README shows, or links to


def space_files(root: Path, repo: str, hardware: str | None = None, models: list[hub.Source] | None = None,
                there: str = "") -> dict[str, Path | bytes]:
    """What the page needs of a checkout, by its names there; the README with the Space's own front matter.

    Args:
        root: of the checkout.
        repo: of the Space.
        hardware: as the Hub names it, None for what it has.
        models: those of the Hub that the page shall show too, and the Space fetches while it is built; None for those
            it has.
        there: the README that the Space has, which tells the hardware and the models that are not given.

    Raises:
        ValueError: the root is no checkout of ganlib.
        WeightsError: as `checkpoint.files` does.
    """
    missing = [name for name in (*WHOLE, "ganlib") if not (root / name).exists()]
    if missing:
        raise ValueError(f"{root} is no checkout of ganlib: it has no {', '.join(missing)}")
    package = [path for path in sorted((root / "ganlib").rglob("*"))
               if path.is_file() and path.suffix in PACKAGED
               and not any(part.startswith(".") for part in path.relative_to(root).parts)]
    documents = [path for path in sorted((root / PICTURE).parent.iterdir()) if path.suffix in DOCUMENTS]
    weights = [path for folder in sorted((root / "weights").iterdir()) if (folder / checkpoint.CONFIG).is_file()
               for path in checkpoint.files(folder)]
    files: dict[str, Path | bytes] = {path.relative_to(root).as_posix(): path
                                      for path in (*(root / name for name in WHOLE), *documents, *package, *weights)}
    card, before = hub.card((root / README).read_text(encoding="utf-8")), hub.card(there).data
    card.data["suggested_hardware"] = hardware or before.get("suggested_hardware", HARDWARE)
    card.data["thumbnail"] = f"https://huggingface.co/spaces/{repo}/resolve/main/{PICTURE}"
    if models:
        before = {"models": list(dict.fromkeys(source.repo for source in models)),
                  "preload_from_hub": [line for source in models if (line := preloaded(source))]}
    for name in ("models", "preload_from_hub"):
        if before.get(name):
            card.data[name] = before.get(name)
    files[README] = str(card).encode()
    return files


def preloaded(source: hub.Source) -> str | None:
    """A model as an item of preload_from_hub: "repo file,file", "repo file,file commit" for one commit.

    None for a branch or a tag, which cannot be named there: such a model is fetched when somebody first asks for it.
    """
    if source.revision is not None and not COMMIT.fullmatch(source.revision):
        return None
    names = ",".join(f"{source.subfolder}/{name}" if source.subfolder else name for name in hub.FETCHED)
    return " ".join([source.repo, names, *([source.revision] if source.revision else [])])


def sources(names: str) -> list[hub.Source]:
    """The models of the Hub that a list names, as "user/repo[/subfolder][@revision]" with commas between them.

    Raises ValueError for a name that is none.
    """
    found = []
    for name in filter(None, map(str.strip, names.split(","))):
        source = hub.parse(name)
        if source is None:
            raise ValueError(f"a model on the Hub is named user/repo, user/repo@revision or user/repo/subfolder, not "
                             f"{name!r}")
        found.append(source)
    return list(dict.fromkeys(found))


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m train.deploy",
        description="Make a Gradio Space on the Hugging Face Hub that shows the page with this checkout's weights, or "
                    "bring one up to date, in one commit. The token is the one of `hf auth login`, or HF_TOKEN.")
    p.add_argument("--repo", required=True, metavar="USER/SPACE", help="the Space, which is made where it is missing")
    p.add_argument("--hardware", metavar="FLAVOUR",
                   help=f"as the Hub names it, such as {HARDWARE} or zero-a10g (default: leave it; a new one gets "
                        f"{HARDWARE})")
    p.add_argument("--models", default="", metavar="USER/REPO,...",
                   help=f"models on the Hub that the page shall show beside the shipped ones, with commas between; the "
                        f"Space's variable {MODELS} then names them, and private ones need a secret HF_TOKEN in the "
                        f"Space (default: leave it)")
    p.add_argument("--private", action="store_true", help="make the Space private (default: as the account does)")
    p.add_argument("--dry-run", action="store_true", help="show what would be sent, send nothing (default: send)")
    return p


def work(arguments: argparse.Namespace) -> None:
    hub.check_repo(arguments.repo)
    models = sources(arguments.models)
    variables = {MODELS: ",".join(map(str, models))} if models else {}
    there = "" if arguments.dry_run else hub.space_readme(arguments.repo)
    publication = hub.Publication(arguments.repo, space_files(ROOT, arguments.repo, arguments.hardware, models, there))
    show(publication)
    for name, value in variables.items():
        print(f"{name}={value}")
    if arguments.dry_run:
        return
    where = hub.deploy(publication, private=arguments.private or None, hardware=arguments.hardware,
                       variables=variables)
    print(f"Sent: {where}")
    print(f"The Space builds itself now: {where.partition('/commit/')[0]}")


main = command(parser, work, "stopped; the same command does what is left to do")

if __name__ == "__main__":
    sys.exit(main())
