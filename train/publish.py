"""python -m train.publish FOLDER --repo user/name: send a weights folder to the Hugging Face Hub, in one commit."""

import argparse
import sys

from ganlib import checkpoint, hub
from train.command import command


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m train.publish",
        description="Send a weights folder to a model repo on the Hugging Face Hub, after checking that it loads and "
                    "that its measures are of its weights. The token is the one of `hf auth login`, or HF_TOKEN.")
    p.add_argument("folder", metavar="FOLDER", help="a weights folder, such as weights/dcgan")
    p.add_argument("--repo", required=True, metavar="USER/NAME", help="the repo, which is made where it is missing")
    p.add_argument("--private", action="store_true", help="make the repo private (default: as the account does)")
    p.add_argument("--revision", metavar="BRANCH", help="the branch, which is made where it is missing (default: main)")
    p.add_argument("--message", help="of the commit (default: says that ganlib wrote it)")
    p.add_argument("--dry-run", action="store_true", help="show what would be sent, send nothing (default: send)")
    return p


def show(publication: hub.Publication) -> None:
    """What would be sent, and how large it is."""
    sizes = publication.sizes()
    for name, size in sorted(sizes.items()):
        print(f"  {name:<28} {size / 1e6:8.2f} MB")
    print(f"{len(sizes)} files, {sum(sizes.values()) / 1e6:.2f} MB, for {publication.repo}")


def send(publication: hub.Publication, **options) -> None:
    """Publish it, with the options of `hub.publish`, and say where it is."""
    sent = hub.publish(publication, **options)
    if sent.card_kept:
        print(f"The {checkpoint.CARD} there has been edited by somebody and is kept; the one listed was not sent.")
    print(f"Published: {sent.address}")


def work(arguments: argparse.Namespace) -> None:
    hub.check_repo(arguments.repo, arguments.revision)
    publication = hub.prepare(arguments.folder, arguments.repo)
    show(publication)
    if arguments.dry_run:
        return
    send(publication, private=arguments.private or None, revision=arguments.revision, message=arguments.message)
    at = f"@{arguments.revision}" if arguments.revision else ""
    print(f"ganlib.load({arguments.repo + at!r}) opens it.")


main = command(parser, work, "stopped; nothing was published")

if __name__ == "__main__":
    sys.exit(main())
