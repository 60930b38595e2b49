"""python -m train.deploy --repo user/space: make a Hugging Face Space of the page, or bring one up to date."""

import argparse
import sys
from pathlib import Path

from ganlib import checkpoint, hub
from train.publish import show
from train.run import in_a_sentence

ROOT = Path(__file__).resolve().parents[1]
README, PICTURE = "README.md", "docs/page.png"
WHOLE = ("app.py", "requirements.txt", "LICENSE", README, PICTURE)  # beside the package and the weights
HARDWARE = "cpu-basic"


def space_files(root: Path, repo: str, hardware: str | None) -> dict[str, Path | bytes]:
    """What the page needs of a checkout, by its names there; the README with the Space's own front matter.

    Raises ValueError for a folder that is no checkout of ganlib.
    """
    missing = [name for name in (*WHOLE, "ganlib") if not (root / name).exists()]
    if missing:
        raise ValueError(f"{root} is no checkout of ganlib: it has no {', '.join(missing)}")
    package = [path for path in sorted((root / "ganlib").rglob("*"))
               if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")]
    weights = [path for folder in sorted((root / "weights").iterdir()) if (folder / checkpoint.CONFIG).is_file()
               for path in checkpoint.files(folder)]
    files: dict[str, Path | bytes] = {path.relative_to(root).as_posix(): path
                                      for path in (*(root / name for name in WHOLE), *package, *weights)}
    files[README] = front_matter((root / README).read_text(encoding="utf-8"), {
        "suggested_hardware": hardware or HARDWARE,
        "thumbnail": f"https://huggingface.co/spaces/{repo}/resolve/main/{PICTURE}",
    }).encode()
    return files


def front_matter(readme: str, lines: dict[str, str]) -> str:
    """A README whose front matter has these lines too, in place of those of the same names."""
    start, matter, text = readme.split("---\n", 2)
    kept = [line for line in matter.splitlines() if line.partition(":")[0] not in lines]
    return "---\n".join([start, "\n".join([*kept, *(f"{key}: {value}" for key, value in lines.items())]) + "\n", text])


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m train.deploy",
        description="Make a Gradio Space on the Hugging Face Hub that shows the page with this checkout's weights, or "
                    "bring one up to date, in one commit. The token is the one of `hf auth login`, or HF_TOKEN.")
    p.add_argument("--repo", required=True, metavar="USER/SPACE", help="the Space, which is made where it is missing")
    p.add_argument("--hardware", metavar="FLAVOUR",
                   help=f"as the Hub names it, such as {HARDWARE} or zero-a10g (default: leave it; a new one gets "
                        f"{HARDWARE})")
    p.add_argument("--private", action="store_true", help="make the Space private (default: as the account does)")
    p.add_argument("--dry-run", action="store_true", help="show what would be sent, send nothing (default: send)")
    return p


def work(arguments: argparse.Namespace) -> int:
    hub.check_repo(arguments.repo)
    publication = hub.Publication(arguments.repo, space_files(ROOT, arguments.repo, arguments.hardware))
    show(publication)
    if arguments.dry_run:
        return 0
    where = hub.deploy(publication, private=arguments.private or None, hardware=arguments.hardware)
    print(f"Sent: {where}")
    print(f"The Space builds itself now: {where.partition('/commit/')[0]}")
    return 0


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    return in_a_sentence("train.deploy", lambda: work(arguments), "stopped; the Space is as it was")


if __name__ == "__main__":
    sys.exit(main())
