"""python -m train.publish FOLDER --repo user/name: send a weights folder to the Hugging Face Hub, in one commit."""

import argparse
import sys
from typing import Any

from ganlib import checkpoint, hub

from .command import command


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m train.publish",
        description="Send a weights folder to a model repo on the Hugging Face Hub, after checking that it loads and "
                    "that its metrics were measured on its weights. The token is that of `hf auth login`, or HF_TOKEN.")
    p.add_argument("folder", metavar="FOLDER", help="a weights folder, such as weights/dcgan")
    p.add_argument("--repo", required=True, metavar="USER/NAME", help="the repo, which is created if it is missing")
    p.add_argument("--private", action="store_true", help="make the repo private (default: as the account does)")
    p.add_argument("--revision", metavar="BRANCH", help="the branch, which is created if it is missing (default: main)")
    p.add_argument("--message", help="of the commit (default: says that ganlib wrote it)")
    p.add_argument("--dry-run", action="store_true", help="list the files, and send nothing (default: send them)")
    return p


def show(publication: hub.Publication) -> None:
    """Print the files to be sent, and their sizes."""
    sizes = {name: len(content) if isinstance(content, bytes) else content.stat().st_size
             for name, content in sorted(publication.files.items())}
    for name, size in sizes.items():
        print(f"  {name:<28} {size / 1e6:8.2f} MB")
    print(f"{len(sizes)} files, {sum(sizes.values()) / 1e6:.2f} MB, for {publication.repo}")


def send(publication: hub.Publication, **options: Any) -> None:
    """Publish with the options of `hub.publish`, and print the address."""
    address, card_kept = hub.publish(publication, **options)
    if card_kept:
        print(f"The {checkpoint.CARD} in the repo has been edited: it was kept, and the one listed was not sent.")
    print(f"Published: {address}")


def work(arguments: argparse.Namespace) -> None:
    repo = hub.check_repo(arguments.repo, arguments.revision)
    publication = hub.prepare(arguments.folder, repo)
    show(publication)
    if not arguments.dry_run:
        send(publication, private=arguments.private or None, revision=arguments.revision, message=arguments.message)
        print(f"ganlib.load({str(hub.Source(repo, arguments.revision))!r}) opens it.")


main = command(parser, work, "stopped; nothing was published")

if __name__ == "__main__":
    sys.exit(main())
