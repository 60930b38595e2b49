"""python -m train.publish FOLDER --repo user/name: send weights folders to the Hugging Face Hub, each in one commit."""

import argparse
import os
import re
import sys
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

from ganlib import checkpoint, classifier, console, hub, publishing
from ganlib.checks import require

from .command import command


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog=console.spelled("publish"),
        description="Send weights folders to model repos on the Hugging Face Hub, after checking that each loads and "
                    "that its metrics were measured on its weights. The token is that of `hf auth login`, or HF_TOKEN.")
    p.add_argument("folders", nargs="+", metavar="FOLDER", help="a weights folder, such as weights/dcgan")
    p.add_argument("--repo", metavar="USER/NAME",
                   help="the repo of one folder, which is created if it is missing (default: ganlib- and the model's "
                        "name, of --namespace)")
    p.add_argument("--namespace", metavar="USER",
                   help="the user or organisation of repos without --repo (default: the collection's owner)")
    p.add_argument("--collection", metavar="USER/TITLE",
                   help="add the models to this collection, which is created if it is missing (default: to none)")
    p.add_argument("--space", metavar="USER/SPACE", help="a Space that the cards name (default: none)")
    p.add_argument("--private", action="store_true",
                   help="make new repos and a new collection private (default: as the account does; a collection is "
                        "public)")
    p.add_argument("--revision", metavar="BRANCH", help="the branch, which is created if it is missing (default: main)")
    p.add_argument("--message", help="of the commits (default: says that ganlib wrote them)")
    p.add_argument("--dry-run", action="store_true", help="list the files, and send nothing (default: send them)")
    return p


def show(publication: publishing.Publication) -> None:
    """Print the files to be sent, and their sizes."""
    sizes = {name: len(content) if isinstance(content, bytes) else content.stat().st_size
             for name, content in sorted(publication.files.items())}
    for name, size in sizes.items():
        print(f"  {name:<28} {size / 1e6:8.2f} MB")
    print(f"{len(sizes)} files, {sum(sizes.values()) / 1e6:.2f} MB, for {publication.repo}")


def send(publication: publishing.Publication, **options: Any) -> None:
    """Publish with the options of `publishing.publish`, and print the address."""
    published = publishing.publish(publication, **options)
    if published.card:
        print(published.card)
    print(f"Published: {published.address}" if published.changed else
          f"Nothing has changed since {published.address}: no commit was made.")


def repo_name(model_name: str) -> str:
    """The name of a model's repo, without its owner: "ganlib-dcgan"."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", model_name).strip("-.")
    return name if name.startswith("ganlib") else f"ganlib-{name}"


class Item(NamedTuple):
    """A weights folder, what is sent of it, and what a collection says of it."""

    folder: str
    publication: publishing.Publication
    note: str


def expanded(name: str) -> list[str]:
    """The folders of a pattern that the shell has left as it is, such as weights/* on Windows; else the name itself."""
    found = [] if os.path.exists(name) else sorted(filter(os.path.isdir, glob(name)))
    return found or [name]


def prepare(arguments: argparse.Namespace, owner: str | None) -> list[Item]:
    """What is sent of each folder. Raises ValueError for options that do not fit, and else as `publishing.prepare`."""
    folders = [folder for name in arguments.folders for folder in expanded(name)]
    require(arguments.repo is None or len(folders) == 1,
            "--repo is for one folder: leave it out, and give --namespace or --collection")
    require(bool(arguments.repo or owner), "name the repo by --repo USER/NAME, or its owner by --namespace USER")
    items: list[Item] = []
    for folder in folders:
        hub.check_local(folder)
        config = checkpoint.read_json(Path(folder) / checkpoint.CONFIG, dict, {})
        if len(folders) > 1 and config.get("architecture") == checkpoint.CLASSIFIER:
            print(f"{folder} is left out: it holds the {classifier.NAME}, which generates no samples.")
            continue
        model = checkpoint.load(Path(folder), "cpu")
        repo = hub.check_repo(arguments.repo or f"{owner}/{repo_name(model.name)}", arguments.revision)
        for other in items:
            require(other.publication.repo != repo,
                    f"{other.folder} and {folder} would both be sent to {repo}: publish one of them by --repo")
        note = (f"{model.architecture.kind}, {'images' if len(model.shape) == 3 else 'points'} of shape {model.shape}, "
                f"trained on {model.config.get('recipe', {}).get('data', 'unknown data')}")
        publication = publishing.prepare(folder, repo, arguments.space)
        items.append(Item(folder, publication, note[:500]))  # as the Hub limits it
    require(bool(items), "none of the folders holds a model")
    return items


def work(arguments: argparse.Namespace) -> None:
    """Checks everything before the first folder is sent; one that fails then does not stop the others."""
    collection = publishing.check_collection(arguments.collection) if arguments.collection else None
    owner = arguments.namespace or (collection and collection.partition("/")[0])
    if arguments.repo:
        hub.check_repo(arguments.repo, arguments.revision)
    items = prepare(arguments, owner)
    for _, publication, _ in items:
        show(publication)
        if publication.edited:
            print(publication.edited)
    if collection:
        print(f"For the collection {collection}: {', '.join(item.publication.repo for item in items)}")
    if arguments.dry_run:
        return
    if collection:
        hub.check_owner(collection.partition("/")[0])
    if collection or len(items) > 1:
        hub.check_access([item.publication.repo for item in items])
    sent: dict[str, str] = {}
    failed: list[str] = []
    for _, publication, note in items:
        try:
            send(publication, private=arguments.private or None, revision=arguments.revision,
                 message=arguments.message)
        except hub.HubError as error:
            failed.append(str(error))
        else:
            sent[publication.repo] = note
            print(f"ganlib.load({str(hub.Source(publication.repo, arguments.revision))!r}) opens it.")
    if collection and sent:
        try:
            address, added = publishing.collect(collection, sent, arguments.private)
            print(f"Collection: {address}, {added} models were added." if added else
                  f"Collection: {address}, which has these models already.")
        except hub.HubError as error:
            failed.append(str(error))
    if failed:
        raise hub.HubError("; ".join(failed))


main = command(parser, work, "stopped; the same command does what is left to do")

if __name__ == "__main__":
    sys.exit(main())
