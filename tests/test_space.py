"""The page as a Hugging Face Space runs it: what `train.deploy` sends, what requirements.txt asks for, and no more."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from huggingface_hub.repocard import metadata_load
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

from tests import fresh
from tests.conftest import serving
from tests.fake_hub import FakeHub
from train import deploy

ROOT = Path(__file__).parents[1]
NOBODY = 65534
MOST_MEMORY = 1.2e9
CONFINED = Path(__file__).parent / "confined"
NODE = 20  # gradio asks for 24; this is the oldest that we have seen it render with
# as a Space sets them, beside HOME and HF_HOME
VARIABLES = {"SYSTEM": "spaces", "SPACE_ID": "alice/page", "SPACE_AUTHOR_NAME": "alice", "SPACE_REPO_NAME": "page",
             "SPACE_TITLE": "ganlib", "SPACE_HOST": "alice-page.hf.space", "GRADIO_SERVER_NAME": "0.0.0.0",
             "PYTHONUNBUFFERED": "1"} | deploy.DEFAULTS
# a Space has the package `spaces`, which asks the platform for changed files; here gradio finds none, and serves on
NO_RELOADING = "Exception in thread Thread-[^`]*`spaces` package is required to run hot-reloading in Spaces\n"
# gradio, just installed, would keep a number beside its code, and does without where it may not
GRADIOS_OWN = r"^open '[^']*/site-packages/gradio/hash_seed\.txt'$"
FOR_TESTS_AND_TRAINING = ["lightning_utilities", "playwright", "pytest", "ruff", "scipy", "sklearn", "tests",
                          "torchmetrics", "train"]


@dataclass(frozen=True)
class Space:
    """address: of the page. title: as its HTML has it. session: of its processes. downloads: a folder for the test."""

    address: str
    title: str
    session: int
    downloads: Path

    def client(self) -> Client:
        return Client(self.address, verbose=False, download_files=self.downloads)

    def memory(self) -> int:
        """Bytes that its processes, together, have in memory."""
        pages = 0
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                after_the_name = (process / "stat").read_text().rpartition(")")[2].split()
                if int(after_the_name[3]) == self.session:
                    pages += int((process / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module")
def folder():
    """A folder that any user of the machine may look into, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="ganlib-space-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def environment(folder) -> fresh.Fresh:
    return fresh.create(folder, ROOT / "requirements.txt")


@pytest.fixture(scope="module")
def app(folder) -> Path:
    """What a Space has of us, in a folder to which its user does not write."""
    return written(folder / "app", deploy.space_files(ROOT, "alice/page"))


def written(folder: Path, files: dict[str, Path | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    return folder


@pytest.fixture(scope="module")
def node() -> str:
    """A node that gradio can render with."""
    found = shutil.which("node")
    version = subprocess.run([found, "--version"], capture_output=True, text=True).stdout if found else "none"
    if not (match := re.match(r"v(\d+)\.", version)) or int(match[1]) < NODE:
        pytest.skip(f"gradio renders on the server with node {NODE} or newer; here is {version.strip()}")
    return found


@pytest.fixture(scope="module", params=["rendered by the browser", "rendered by the server"])
def space(request, folder, environment, app):
    """The running Space, whose user may write to its cache and nowhere else, and which may reach nothing but loopback.

    At the end it has not tried to.
    """
    by_server = request.param == "rendered by the server"
    home = Path(tempfile.mkdtemp(dir=folder))
    cache, refused = home / ".cache", home / "refused"
    (cache / "tmp").mkdir(parents=True)
    refused.touch()
    options = {}
    if os.getuid() == 0 and fresh.open_to_all(fresh.SITE_PACKAGES) and fresh.open_to_all(folder):
        options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        for path in (cache, cache / "tmp", refused):
            os.chown(path, NOBODY, NOBODY)
    home.chmod(0o555)
    variables = VARIABLES | environment.variables | {
        "PATH": os.environ["PATH"], "HOME": str(home), "HF_HOME": str(cache / "huggingface"),
        "TMPDIR": str(cache / "tmp"), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(folder / "confined"),
        "CONFINED_TO": str(cache), "CONFINED_LOG": str(refused)}
    if by_server:
        variables |= {"GRADIO_SSR_MODE": "True", "GRADIO_NODE_PATH": request.getfixturevalue("node")}
    if threads := os.environ.get("OMP_NUM_THREADS"):
        variables["OMP_NUM_THREADS"] = threads
    shutil.copytree(CONFINED, folder / "confined", dirs_exist_ok=True)
    command, title = [environment.python, "app.py"], "<title>ganlib</title>" if by_server else '"title":"ganlib"'
    with serving(command, variables, folder / "log", NO_RELOADING, cwd=app, **options) as (address, session):
        yield Space(address, title, session, folder / f"{home.name}-downloads")
    tried = [line for line in refused.read_text().splitlines() if not re.search(GRADIOS_OWN, line)]
    assert tried == []


def use(space: Space) -> None:
    """Generate, read a passport, interpolate, draw from a toy distribution, and train on one."""
    client = space.client()
    sheet, made_by = client.predict("dcgan", 7, 9, 1, [], api_name="/generate")
    with Image.open(sheet) as image:
        assert image.format == "PNG"
    assert made_by.startswith("**dcgan** on ")
    assert client.predict(handle_file(sheet), api_name="/passport")["tab"] == "generate"
    _, gif, _ = client.predict("mlp-gan", 3, 8, 6, "slerp", api_name="/interpolate")
    with Image.open(gif) as movie:
        assert movie.n_frames == 10
    charts, numbers = client.predict("toy-sine", 500, 3, api_name="/toy")
    assert charts.count("<svg") == 3
    assert len(numbers["samples"]) == 500
    assert [row["step"] for row in client.submit({"target": "ring"}, 25, 10, api_name="/lab")] == [10, 20, 25]
    client.close()


@pytest.mark.slow
def test_the_environment_has_what_requirements_ask_for_and_no_more(environment):
    wanted = fresh.closure(fresh.lines(ROOT / "requirements.txt"))
    found = environment.run("from importlib.metadata import distributions; print(*(d.name for d in distributions()))")
    assert set(map(canonicalize_name, found.split())) - {"pip", "setuptools"} == wanted - {"setuptools"}
    assert wanted < {canonicalize_name(found.name) for found in distributions()}
    code = f"from importlib.util import find_spec; print(*filter(find_spec, {FOR_TESTS_AND_TRAINING}))"
    assert environment.run(code) == "\n"


@pytest.mark.slow
def test_a_confined_process_reaches_loopback_and_writes_to_its_folder_and_no_further(tmp_path):
    inside, refused = tmp_path / "inside", tmp_path / "refused"
    inside.mkdir()
    refused.touch()
    code = f"""
import os, socket
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(("localhost", server.getsockname()[1])).close()
open({str(inside / "file")!r}, "w").close()
open({str(refused)!r}).close()
for far in (lambda: socket.socket().connect(("192.0.2.1", 80)), lambda: socket.getaddrinfo("example.org", 80),
            lambda: open({str(tmp_path / "file")!r}, "w"), lambda: os.mkdir({str(tmp_path / "folder")!r}),
            lambda: os.rename({str(inside / "file")!r}, {str(tmp_path / "file")!r})):
    try:
        far()
    except PermissionError:
        continue
    raise AssertionError("not refused")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300, env=os.environ | {
        "PYTHONPATH": str(CONFINED), "CONFINED_TO": str(inside), "CONFINED_LOG": str(refused)})
    assert [line.split()[0] for line in refused.read_text().splitlines()] == [
        "socket.connect", "socket.getaddrinfo", "open", "os.mkdir", "os.rename"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inside", "refused"]


def tabs(address: str) -> list[str]:
    with urllib.request.urlopen(f"{address}/config", timeout=300) as answer:
        return [component["props"]["label"] for component in json.load(answer)["components"]
                if component["type"] == "tabitem"]


TABS = ["Generate", "Draw", "Interpolate", "Explore", "Game", "Lab", "Quality", "How it works"]


@pytest.mark.slow
def test_it_serves_its_page(space):
    with urllib.request.urlopen(space.address, timeout=300) as answer:
        assert answer.status == 200
        assert space.title in answer.read().decode()
    assert tabs(space.address) == TABS


@pytest.mark.slow
def test_it_serves_what_the_hub_shows_to_agents(space):
    """The schema of the API, which the Hub's agents.md of a Space names, and the tools that give it the MCP badge."""
    with urllib.request.urlopen(f"{space.address}/gradio_api/info", timeout=300) as answer:
        assert "/generate" in json.load(answer)["named_endpoints"]
    with urllib.request.urlopen(f"{space.address}/gradio_api/mcp/schema", timeout=300) as answer:
        assert [tool["name"] for tool in json.load(answer) if tool["name"].endswith("generate")]


@pytest.mark.slow
def test_an_installed_package_deploys_the_same_page(app, environment, tmp_path):
    """Without a checkout: `ganlib deploy`, whose Space lacks only the documents."""
    installed = fresh.unpacked_wheel(tmp_path)
    command = "from ganlib.commands.entry import main; raise SystemExit(main(['deploy', '--repo', 'alice/page']))"
    with FakeHub() as hub:
        variables = hub.environment(tmp_path / "home", "hf_alice") | {"PYTHONPATH": str(installed)}
        done = subprocess.run([sys.executable, "-c", command], cwd=tmp_path, env=variables, capture_output=True,
                              text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert f"{hub.endpoint}/spaces/alice/page\n" in done.stdout
        files = hub.files("alice/page", repo_type="space")
    same = {"README.md", "requirements.txt", ".gitattributes"} ^ set(files)
    documents = {path.relative_to(app).as_posix() for path in app.rglob("*") if path.is_file()} - set(files)
    assert {name for name in documents if not name.startswith(("docs/", "tests/"))} == {
        "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"}
    assert [name for name in same if files[name] != (app / name).read_bytes()] == []
    assert [line for line in re.findall(r"\]\(.*?\)", files["README.md"].decode()) if "](http" not in line] == []
    (tmp_path / "README.md").write_bytes(files["README.md"])
    front, other = (metadata_load(path / "README.md") for path in (tmp_path, app))
    assert front.pop("thumbnail").partition("/resolve/main/")[2] in files
    other.pop("thumbnail")
    assert front == other
    wanted, others = ({str(Requirement(line)) for line in text.splitlines() if not line.startswith("#")}
                      for text in (files["requirements.txt"].decode(), (app / "requirements.txt").read_text()))
    assert wanted == others
    space = written(tmp_path / "space", files)
    variables = VARIABLES | environment.variables | {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home")}
    with serving([environment.python, "app.py"], variables, tmp_path / "log", NO_RELOADING, cwd=space) as (address, _):
        assert tabs(address) == TABS


@pytest.mark.slow
def test_it_generates_in_little_memory(space):
    use(space)
    if Path("/proc/self/statm").exists():
        assert 0 < space.memory() < MOST_MEMORY


ON_ZERO_GPU = """
import spaces, torch
from ganlib.demo import build, models, quality
from ganlib.demo.generate import generate

build()
print(len(spaces.DECORATED), models.get("toy-sine").device, next(quality._classifier().parameters()).device,
      torch.cuda.is_available())  # by which an optimizer decides whether it asks a GPU
print(generate("mlp-gan", 5, 3, 1, [])[1])
"""


@pytest.mark.slow
def test_on_zero_gpu_it_has_a_function_that_asks_for_the_gpu_and_computes_on_the_cpu(tmp_path):
    path = os.pathsep.join([str(ROOT / "tests" / "stand_in"), str(ROOT)])
    environment = os.environ | {"SPACES_ZERO_GPU": "true", "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", ON_ZERO_GPU], env=environment, cwd=tmp_path, capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    places, made_by = done.stdout.splitlines()
    assert places == "1 cpu cpu False"
    assert made_by.startswith("**mlp-gan** on CPU: 3 pictures in ")
