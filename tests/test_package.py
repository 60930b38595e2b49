"""The public names, who may import whom, what an installed wheel needs, and what holds the project's files together."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import ganlib
from tests import fresh

ROOT = Path(__file__).parent.parent
SOURCES = [path for folder in ("ganlib", "train") for path in sorted((ROOT / folder).rglob("*.py"))]
SOURCES.append(ROOT / "app.py")
# what a training, a model and its weights do not know
EDGE = {"card", "charts", "report", "hub", "jobs", "onnx", "passport", "publishing"}

# which modules of ganlib each may import; what is not listed may import all but the page
ROOMS = {
    **{room: set() for room in ("adam", "checks", "heap", "version")},
    **{room: {"checks"} for room in ("console", "files")},
    **{room: {"checks"} for room in ("metrics", "measures", "sampling", "shares")},
    **{room: {"checks", "shares"} for room in ("augmentation", "distributed", "losses", "networks")},
    "images": {"checks", "files"},
    "drawing": {"checks", "files", "images"},
    "passport": {"checkpoint", "checks", "files", "images", "model", "version"},
    "waypoints": {"checks", "model", "sampling"},
    "directions": {"checks", "model", "networks", "sampling"},
    "picture_cache": {"files"},
    "pictures": {"checks", "picture_cache"},
    **{room: {"checks"} for room in ("addresses", "devices")},
    "card": {"checks", "losses", "measures"},
    "architectures": {"checks", "networks"},
    "calibration": {"checks"},
    "data": {"checks", "devices", "pictures", "toys"},
    "toys": {"checks", "data", "metrics"},
    "charts": {"checks", "images", "toys"},
    "gradients": {"losses", "networks"},
    "training": {"adam", "architectures", "augmentation", "checks", "data", "devices", "distributed", "files",
                 "gradients", "losses", "networks", "sampling", "shares"},
    "classifier": {"architectures", "checks", "data", "networks", "sampling", "training"},
    "inversion": {"model", "networks", "sampling"},  # a model only for its type
    "folding": {"networks"},
    "model": {"architectures", "calibration", "checks", "devices", "folding", "inversion", "networks", "sampling"},
    "recipes": {"architectures", "classifier", "losses", "training"},
    "best": {"architectures", "data", "training"},
    "transfer": {"architectures", "checks", "model", "training"},
    "lab": {"architectures", "calibration", "checkpoint", "checks", "data", "losses", "metrics", "sampling", "toys",
            "training"},
    "stories": {"lab"},
    "lessons": {"checks", "losses"},
    "maps": {"checks", "model", "networks"},
    "layers": {"checks", "model", "networks"},
}
# what a room imports inside a function only, for a method that a model's users know from other libraries
LATE = {"model": {"checkpoint", "hub", "publishing"}}  # from_pretrained, save_pretrained, push_to_hub
# packages that have one door, each, or few
DOORS = {"gradio": "ganlib/demo/", "torchvision": "ganlib/data.py",
         # three connect, the last has the form of cards
         "huggingface_hub": ("ganlib/hub.py", "ganlib/publishing.py", "ganlib/jobs.py", "ganlib/card.py"),
         "matplotlib": "ganlib/charts.py", "onnx": "ganlib/onnx.py", "onnxscript": "ganlib/onnx.py",
         "onnxruntime": "ganlib/onnx.py", "trackio": "train/track.py", "tqdm": "train/", "av": "ganlib/images.py",
         "argparse": ("train/", "ganlib/demo/page.py")}
NETWORK = {"urllib", "http", "socket", "requests", "httpx", "aiohttp"}  # for data and hub alone


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path, at_import: bool = False) -> set[str]:
    """Full names of the modules that a file imports anywhere in it, or only when it is imported itself."""
    found, tree = set(), ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if at_import else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:  # those of train are beside each other
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms(path: Path, at_import: bool = False) -> set[str]:
    """The modules of ganlib that a file imports, as `imports`."""
    found = {name.split(".")[1] for name in imports(path, at_import) if name.startswith("ganlib.")}
    return {name for name in found if (ROOT / "ganlib" / f"{name}.py").exists() or name == "demo"}


def python(code: str, folder: Path = ROOT) -> str:
    """What a Python program prints."""
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_the_public_names_are_exact():
    assert all(hasattr(ganlib, name) for name in ganlib.__all__)
    assert sorted(ganlib.__all__) == sorted([
        "__version__", "load", "save", "train", "open_data", "register", "evaluate", "calibrate", "shipped", "Model",
        "Recipe", "TrainConfig", "State", "Step", "Loss", "Penalty", "ImageData", "WeightsError", "ARCHITECTURES",
        "RECIPES", "LOSSES", "PENALTIES", "DATASETS", "EVALUATIONS"])


@pytest.mark.parametrize("room", sorted(path.stem for path in (ROOT / "ganlib").glob("*.py") if path.stem[0] != "_"))
def test_a_room_imports_only_those_it_may(room):
    path = ROOT / "ganlib" / f"{room}.py"
    assert not rooms(path, at_import=True) & LATE.get(room, set())
    found = rooms(path) - LATE.get(room, set())
    assert found <= ROOMS.get(room, found - {"demo"})
    assert room != "checkpoint" or not found & EDGE
    assert room not in ("evaluation", "model", "training") or not found & (EDGE | {"checkpoint"})


@pytest.mark.parametrize("path", SOURCES, ids=place)
def test_imports_have_no_arrow_backwards_and_outsiders_one_door(path):
    for name in imports(path):
        top = name.split(".")[0]
        assert place(path).startswith(DOORS.get(top, "")), f"{place(path)} imports {top}"
        connects = top in NETWORK and not name.startswith("urllib.parse")  # which only reads text
        assert not connects or place(path) in ("ganlib/data.py", "ganlib/hub.py"), f"{place(path)} imports {top}"
        assert top not in ("tests", "app"), place(path)
        assert top != "train" or place(path).startswith("train/"), place(path)
        assert not name.startswith("ganlib.demo") or place(path).startswith(("ganlib/demo/", "app.py")), place(path)


def test_importing_ganlib_and_its_commands_looks_at_no_device_parses_nothing_downloads_nothing_and_is_light():
    assert python("""
import socket, sys, torch
def refuse(*arguments):
    raise AssertionError("at import")
socket.socket.connect = torch.cuda.is_available = torch.backends.mps.is_available = refuse
torch.cpu.get_capabilities = refuse
sys.argv = ["python", "--unknown-option"]
import ganlib, train.ablation, train.deploy, train.evaluate, train.export, train.film, train.publish
import train.augment, train.repeat, train.sample, train.__main__
print(*{"av", "torchvision", "gradio", "huggingface_hub", "matplotlib", "pandas", "onnx", "trackio", "torch._dynamo"}
      & set(sys.modules))
import ganlib.demo
""") == ""


def test_a_model_samples_without_what_trains_shows_or_downloads():
    """Each takes time at the start of every program that samples."""
    assert python("""
import sys
import ganlib
picture = ganlib.load("cdcgan").sample([7])
unneeded = ["classifier", "data", "distributed", "evaluation", "images", "losses", "recipes", "training"]
print(*{"PIL", "html", "huggingface_hub", "fractions", *(f"ganlib.{room}" for room in unneeded)} & set(sys.modules))
from ganlib import images
images.to_png(images.contact_sheet(picture))
print(*{"PIL.ImageDraw", "PIL.ImageFont", "ganlib.training"} & set(sys.modules))
""") == ""


def test_text_files_are_read_and_written_in_a_named_encoding():
    """The system's default may be any: a Windows code page, or ASCII."""
    for path in [*SOURCES, *(ROOT / "tests" / "benchmarks").glob("*.py")]:
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for call in [node for node in nodes if isinstance(node, ast.Call)]:
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            binary = any(isinstance(value, ast.Constant) and "b" in str(value.value) for value in call.args[1:])
            opens = name in ("read_text", "write_text") or (isinstance(call.func, ast.Name) and name == "open"
                                                            and not binary)
            assert not opens or "encoding" in {keyword.arg for keyword in call.keywords}, f"{place(path)}:{call.lineno}"


@pytest.mark.slow
def test_the_wheel_works_with_what_it_requires_and_without_the_extras(tmp_path):
    """Models, weights and styles are inside; nothing of the checkout, nor of the extras, is needed to sample."""
    installed = fresh.unpacked_wheel(tmp_path)
    (info,) = installed.glob("*.dist-info")
    metadata, scripts = ((info / name).read_text(encoding="utf-8") for name in ("METADATA", "entry_points.txt"))
    assert {path.name for path in installed.iterdir()} == {"ganlib", info.name}
    for name in ("demo/page.css", "weights/digit-classifier/config.json", "commands/entry.py"):
        assert (installed / "ganlib" / name).exists()
    assert scripts == "[console_scripts]\nganlib = ganlib.commands.entry:main\n"
    required = {line.split(":")[1].strip() for line in metadata.splitlines()
                if line.startswith("Requires-Dist:") and "extra ==" not in line}
    assert {re.split("[<>=]", name)[0] for name in required} == {
        "torch", "huggingface-hub", "safetensors", "numpy", "pillow"}
    extras = ("torchvision", "gradio", "matplotlib", "trackio", "onnx", "scipy", "sklearn", "train", "tests")
    said = python(f"""
import sys
sys.path.insert(0, {str(installed)!r})
sys.modules.update(dict.fromkeys({extras}))
import ganlib
from ganlib.commands.entry import main
assert ganlib.__file__.startswith({str(tmp_path)!r})
print(tuple(ganlib.load("dcgan").sample(range(2)).shape))
sys.stderr = sys.stdout
for arguments in (["sample", "dcgan", "-n", "2", "--grid", "two.png"], ["train", "mlp-gan"], ["train", "toy-sine"],
                  ["app"], ["evaluate", "--help"]):
    try:
        main(arguments)
    except SystemExit:
        pass
""", tmp_path)
    shape, sampled, digits, training, toy, page, usage, *_ = said.splitlines()
    assert shape == "(2, 1, 28, 28)"
    assert sampled == "two.png: 2 samples."
    assert (tmp_path / "two.png").exists()
    assert digits == 'ganlib train: mnist needs torchvision: pip install "ganlib[train]"'
    assert training.startswith("Training toy-sine ")
    assert toy == 'ganlib train: a chart of points needs matplotlib: pip install "ganlib[train]"'
    assert page == 'ganlib app: the page needs gradio and matplotlib: pip install "ganlib[app]"'
    assert usage.startswith("usage: ganlib evaluate ")


@pytest.mark.slow
def test_the_page_works_without_torchvision_and_the_extras():
    python("""
import sys
sys.modules.update(dict.fromkeys(["torchvision", "trackio", "onnx", "train"]))
from ganlib.demo import build
from ganlib.demo.generate import generate
build(), generate("dcgan", 7, 4, 1.0, [])
""")


def test_requirements_have_an_upper_bound_and_one_range_each_and_a_space_gets_those_of_the_page():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base, extras = project["dependencies"], project["optional-dependencies"]
    wanted = {line for group in (base, *extras.values()) for line in group if not line.startswith("ganlib")}
    assert all("<" in requirement or "==" in requirement for requirement in wanted)
    names = [re.split(r"[\[<>=]", requirement)[0] for requirement in wanted]
    assert len(names) == len(set(names))
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [*base, *extras["app"]]


def test_what_the_sources_import_is_required_by_the_page_or_by_an_extra():
    known = {"PIL": "pillow", **dict.fromkeys(("gradio_client", "fastapi", "starlette"), "gradio"),
             **dict.fromkeys(("yaml", "filelock", "packaging"), "huggingface-hub")}
    text = (ROOT / "requirements.txt").read_text() + (ROOT / "pyproject.toml").read_text()
    for path in SOURCES:
        for top in {name.split(".")[0] for name in imports(path)} - sys.stdlib_module_names - {"ganlib", "train"}:
            assert known.get(top, top.replace("_", "-")) in text or top == "spaces", f"{place(path)} imports {top}"


def test_the_front_matter_is_a_spaces():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    front = dict(re.findall(r"^(\w+): (.+)$", text.split("---")[1], re.MULTILINE))
    assert front["sdk"] == "gradio"
    assert f"gradio[mcp]=={front['sdk_version']}\n" in (ROOT / "requirements.txt").read_text()
    assert (ROOT / front["app_file"]).is_file()
    assert front["license"] == "mit"
    assert {"python_version", "models", "tags", "title"} <= set(front)


def test_the_tree_names_every_file_of_the_package():
    tree = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for path in [*(ROOT / "ganlib").glob("*.py"), *(ROOT / "train").glob("*.py")]:
        assert f"{path.name} " in tree, path.name


def test_the_code_is_clean():
    lint = subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=ROOT, capture_output=True, text=True)
    assert lint.returncode == 0, lint.stdout


def test_the_weights_are_small():
    assert sum(path.stat().st_size for path in (ROOT / "weights").glob("*/*")) <= 37e6
