"""python -m train.deploy --repo user/space: create or update a Hugging Face Space that runs the page."""

import argparse
import re
import sys
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement  # which huggingface_hub needs too

from ganlib import checkpoint, console, hub, publishing
from ganlib.checks import CHECKOUT, listed, require

from .command import command
from .publish import show

ROOT = Path(__file__).resolve().parents[1] if CHECKOUT else None  # None for an installed package
PACKAGE = Path(checkpoint.__file__).resolve().parent
APP, REQUIREMENTS, LICENSE, README, PICTURE = "app.py", "requirements.txt", "LICENSE", "README.md", "docs/page.png"
# needed beside the package and the weights; the README links to the last ones
TOP_LEVEL = (APP, REQUIREMENTS, LICENSE, README, "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", PICTURE,
             "tests/extension/stripes.py")
PACKAGE_FILES = (".py", ".typed", ".css", ".svg", ".html", ".js", ".json", ".png", ".gz", ".md")  # of the package
PRELOADED = (checkpoint.CONFIG, checkpoint.GENERATOR, checkpoint.METRICS, checkpoint.HISTORY)  # files of every model
HARDWARE = "cpu-basic"
# https://huggingface.co/docs/hub/spaces-zerogpu, September 2026
ZERO_GPU_TORCH = ("2.8.0", "2.9.1", "2.10.0", "2.11.0", "2.12.1", "2.13.0")
ZERO_GPU_PYTHON = "3.12.12"
MODELS = "GANLIB_MODELS"  # the page's environment variable that names models on the Hub
DEFAULTS = {"GRADIO_MCP_SERVER": "True"}  # with it, the Hub gives the Space its MCP badge
FRONT_MATTER = ("sdk", "sdk_version", "python_version", "app_file", "license")  # ours; the rest is the host's
JOINED = ("tags", "datasets")  # in the front matter: ours, and others that the host added
FIRST_README = "https://huggingface.co/docs/hub/spaces-config-reference"  # what the Hub writes names it


def space_files(root: Path | None, repo: str, hardware: str | None = None, models: Sequence[hub.Source] = (),
                linked: Sequence[str] = (), current: publishing.Space | None = None) -> dict[str, Path | bytes]:
    """The files that the page needs, by their names in a Space.

    Args:
        root: the checkout; None for the installed package, which has no documents.
        repo: the Space.
        hardware: the Hub's name of it, such as "cpu-basic"; None for that of `current`.
        models: models on the Hub that the page shows too; none for those of `current`.
        linked: repos of other models that the README names, such as the shipped ones where they are published.
        current: the Space as it is now.

    Raises ValueError if the root is not a checkout of ganlib, and WeightsError as `checkpoint.files`.
    """
    files = installed() if root is None else checkout(root)
    current = current or publishing.Space()
    card = publishing.card(text_of(files[README]))
    if FIRST_README not in current.readme:
        theirs = publishing.card(current.readme)
        for key, value in kept(theirs.data.to_dict(), card.data.to_dict()).items():
            card.data[key] = value
        heading = card.text.lstrip().partition("\n")[0]
        if theirs.text.strip() and heading not in theirs.text:
            card.text = theirs.text
    hardware = hardware or current.hardware or card.data.get("suggested_hardware", HARDWARE)
    card.data["suggested_hardware"] = hardware
    if hardware == publishing.ZERO_GPU:
        card.data["python_version"] = ZERO_GPU_PYTHON
        files[REQUIREMENTS] = for_zero_gpu(text_of(files[REQUIREMENTS])).encode()
    if models:
        card.data["models"] = [source.repo for source in models]
        card.data["preload_from_hub"] = [item for source in models if (item := preload_item(source))] or None
    card.data["models"] = list(dict.fromkeys([*card.data.get("models", []), *linked]))
    if "thumbnail" not in card.data:
        picture = PICTURE if PICTURE in files else "weights/dcgan/samples.png"
        card.data["thumbnail"] = f"https://huggingface.co/spaces/{repo}/resolve/main/{picture}"
    return {**files, README: str(card).encode()}


def kept(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """What stays of the front matter that a host has in the README of a Space."""
    joined = {key: [*ours.get(key, []), *(value if isinstance(value, list) else [value])]
              for key, value in theirs.items() if key in JOINED}
    return {**{key: value for key, value in theirs.items() if key not in FRONT_MATTER},
            **{key: list(dict.fromkeys(values)) for key, values in joined.items()}}


def checkout(root: Path) -> dict[str, Path | bytes]:
    """The files of a checkout. Raises ValueError if the root is none."""
    missing = [name for name in (*TOP_LEVEL, "ganlib") if not (root / name).exists()]
    require(not missing, f"{root} is not a checkout of ganlib: it has no {', '.join(missing)}")
    documents = [path for path in (root / PICTURE).parent.rglob("*")
                 if path.suffix in (".png", ".gif", ".md", ".ipynb")]
    others = {path.relative_to(root).as_posix(): path for path in (*(root / name for name in TOP_LEVEL), *documents)}
    return {**others, **package_files(root / "ganlib"), **weights_files(root / "weights")}


def installed() -> dict[str, Path | bytes]:
    """The files of the installed package. What lies beside it in a checkout is made from its metadata."""
    ganlib = distribution("ganlib")
    wanted = [Requirement(line) for line in ganlib.requires or ()]
    lines = [str(line).partition(";")[0].strip() for line in wanted
             if line.marker is None or line.marker.evaluate({"extra": "app"})]
    # no other file that the README shows or links to is there
    readme = re.sub(r"(?m)^!\[.*\]\(.*\)\n\n?", "", ganlib.metadata["Description"])
    readme = re.sub(r"\[([^]]*)\]\((?!https?:|#)[^)]*\)", r"\1", readme)
    license, = (Path(file.locate()) for file in ganlib.files or () if file.match(f"licenses/{LICENSE}"))
    return {APP: PACKAGE / "demo" / "__main__.py", REQUIREMENTS: "\n".join([*lines, ""]).encode(),
            README: readme.encode(), LICENSE: license, **package_files(PACKAGE), **weights_files(PACKAGE / "weights")}


def package_files(package: Path) -> dict[str, Path]:
    """The files of the package that the page needs; installed, it also holds the weights and the command lines."""
    names = {path: path.relative_to(package) for path in package.rglob("*")
             if path.is_file() and path.suffix in PACKAGE_FILES}
    return {f"ganlib/{name.as_posix()}": path for path, name in names.items()
            if name.parts[0] not in ("weights", "commands") and not any(part.startswith(".") for part in name.parts)}


def weights_files(folder: Path) -> dict[str, Path]:
    """The files of the weights folders in a folder."""
    return {f"weights/{path.parent.name}/{path.name}": path for model in folder.iterdir()
            if (model / checkpoint.CONFIG).is_file() for path in checkpoint.files(model)}


def text_of(file: Path | bytes) -> str:
    return file.decode() if isinstance(file, bytes) else file.read_text(encoding="utf-8")


def for_zero_gpu(requirements: str) -> str:
    """The same requirements, with the newest torch of ZeroGPU that they allow."""
    def pinned(line: str) -> str:
        allowed = list(Requirement(line).specifier.filter(ZERO_GPU_TORCH))
        require(allowed != [], f"ZeroGPU has torch {', '.join(ZERO_GPU_TORCH)}, and ganlib needs {line}")
        return f"torch=={allowed[-1]}"

    return "".join(pinned(line) + "\n" if re.match(r"torch(?![\w.-])", line) else line + "\n"
                   for line in requirements.splitlines())


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
        prog=console.spelled("deploy"),
        description="Create or update a Gradio Space on the Hugging Face Hub that shows the page with the weights of "
                    "ganlib, in one commit. Front matter of its README that is yours is kept. The token is that of "
                    "`hf auth login`, or HF_TOKEN.")
    p.add_argument("--repo", required=True, metavar="USER/SPACE", help="the Space, which is created if it is missing")
    p.add_argument("--hardware", metavar="FLAVOUR",
                   help=f"the Hub's name of it, such as t4-small; {publishing.ZERO_GPU} is ZeroGPU, which needs no "
                        f"subscription (default: unchanged, {HARDWARE} for a new Space)")
    p.add_argument("--models", default="", metavar="USER/REPO,...",
                   help=f"models on the Hub that the page shows too, set as the Space's variable {MODELS}; private "
                        f"ones need a secret HF_TOKEN in the Space (default: unchanged)")
    p.add_argument("--collection", metavar="USER/NAME",
                   help=f"a collection on the Hub, as `{console.spelled('publish')} --collection` makes one, whose "
                        f"models the Space's README names too (default: none)")
    p.add_argument("--private", action="store_true", help="make the Space private (default: as the account does)")
    p.add_argument("--dry-run", action="store_true", help="list the files, and send nothing (default: send them)")
    return p


def work(arguments: argparse.Namespace) -> None:
    repo = hub.check_repo(arguments.repo, repo_type="space")
    models = sources(arguments.models)
    collection = arguments.collection and publishing.check_collection(arguments.collection)
    asks = not arguments.dry_run  # of the Hub
    current = publishing.space(repo) if asks else publishing.Space()
    linked = publishing.collected(collection) if asks and collection else ()
    files = space_files(ROOT, repo, arguments.hardware, models, linked, current)
    publication = publishing.Publication(repo, files, head=current.head)
    show(publication)
    variables = {MODELS: ",".join(map(str, models))} if models else {}
    for name, value in variables.items():
        print(f"{name}={value}")
    if not arguments.dry_run:
        sent = publishing.deploy(publication, private=arguments.private or None, hardware=arguments.hardware,
                          variables=variables, defaults=DEFAULTS)
        page = sent.address.partition("/commit/")[0]
        print(f"Sent: {sent.address}\nThe Space is being built: {page}" if sent.changed else
              f"No file has changed since {sent.address}: no commit was made.\nThe Space: {page}")


main = command(parser, work, "stopped; the same command does what is left to do")

if __name__ == "__main__":
    sys.exit(main())
