import re
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub.repocard import metadata_load

from ganlib import hub, publishing
from tests.fake_hub import FakeHub
from train import deploy

ROOT = Path(__file__).parents[1]
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}  # of the Hub
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def matter(tmp_path):
    """The front matter of a README, as the Hub's own client reads it."""
    def read(readme: bytes) -> dict:
        (tmp_path / "README.md").write_bytes(readme)
        return metadata_load(tmp_path / "README.md")
    return read


def test_a_space_gets_what_the_page_needs_and_no_more(matter):
    files = deploy.space_files(ROOT, "alice/page", None)
    assert {"app.py", "requirements.txt", "README.md", "LICENSE", "ganlib/demo/page.css", "ganlib/py.typed",
            "weights/dcgan/model.safetensors", "weights/digit-classifier/config.json", "docs/page.png"} <= set(files)
    assert {name.partition("/")[0] for name in files if "/" in name} == {"ganlib", "weights", "docs", "tests"}
    linked = re.findall(r"\]\((?!https?:)(.*?)(?:#.*?)?\)", files["README.md"].decode())
    assert {deploy.PICTURE, "docs/log.md", "LICENSE"} <= set(linked) <= set(files)
    assert not [name for name in files if name.endswith((".pyc", ".partial")) or name.startswith("train")]
    assert [name for name in files if name.startswith("tests")] == ["tests/extension/stripes.py"]
    front = matter(files["README.md"])
    assert front["suggested_hardware"] == "cpu-basic"
    assert front["thumbnail"] == "https://huggingface.co/spaces/alice/page/resolve/main/docs/page.png"
    assert f"gradio[mcp]=={front['sdk_version']}\n" in (ROOT / "requirements.txt").read_text()
    assert (front["sdk"], front["app_file"], front["license"]) == ("gradio", "app.py", "mit")
    assert re.fullmatch(r"3\.\d+", front["python_version"])  # a text: a number would lose the 0 of 3.20
    assert front["models"] == []
    assert front["datasets"] == ["ylecun/mnist"]
    assert "mcp-server" in front["tags"]
    assert {front["colorFrom"], front["colorTo"]} <= COLOURS
    assert "preload_from_hub" not in front
    assert len(front["short_description"]) <= 60  # the Hub refuses a longer one
    own = (ROOT / "README.md").read_text(encoding="utf-8")
    assert files["README.md"].decode().split("---\n", 2)[2] == own.split("---\n", 2)[2]


def test_what_lies_about_in_a_checkout_stays_there(tmp_path):
    checkout = tmp_path / ".worktrees" / "ganlib"
    wanted = [*deploy.TOP_LEVEL, "ganlib/hub.py", "ganlib/demo/page.css"]
    others = ["ganlib/.ipynb_checkpoints/hub.py", "ganlib/hub.py~", "ganlib/notes.txt", "ganlib/.env",
              "ganlib/__pycache__/hub.cpython-311.pyc"]
    for name in (*wanted, *others, "weights/notes"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("---\n---\n")
    assert set(deploy.space_files(checkout, "alice/page")) == set(wanted)


def test_models_are_listed_and_fetched_while_the_space_is_built(matter):
    models = deploy.sources(f"alice/gan, bob/gans/toys ,bob/gans/digits@{COMMIT},carol/gan@v2,alice/gan")
    front = matter(deploy.space_files(ROOT, "alice/page", None, models)["README.md"])
    assert front["models"] == ["alice/gan", "bob/gans", "carol/gan"]
    plain, inside, at_a_commit = (item.split(" ") for item in front["preload_from_hub"])  # and a tag has no place there
    names = ["config.json", "model.safetensors", "metrics.json", "history.json"]
    assert plain == ["alice/gan", ",".join(names)]
    assert inside == ["bob/gans", ",".join(f"toys/{name}" for name in names)]
    assert at_a_commit == ["bob/gans", ",".join(f"digits/{name}" for name in names), COMMIT]
    assert set(names) < set(hub.FETCHED)
    assert front["title"] == "ganlib"


def test_the_readme_names_the_models_of_a_collection_too(server, matter, capsys):
    command = ["--repo", "alice/page", "--models", "bob/gan"]
    assert deploy.main([*command, "--collection", "alice/Small GANs"]) == 1
    assert capsys.readouterr().err == "train.deploy: there is no collection alice/Small GANs on the Hub\n"
    repos = ["alice/ganlib-dcgan", "alice/ganlib-vae"]
    for repo in repos:
        server.put(repo, {})
    publishing.collect("alice/Small GANs", dict.fromkeys(repos, "A note"))
    assert deploy.main([*command, "--collection", "alice/Small GANs"]) == 0
    front = matter(space(server)["README.md"])
    assert front["models"] == ["bob/gan", *repos]
    assert [item.split(" ")[0] for item in front["preload_from_hub"]] == ["bob/gan"]
    assert deploy.main(["--repo", "alice/page"]) == 0
    assert matter(space(server)["README.md"])["models"] == ["bob/gan", *repos]


@pytest.mark.parametrize("name", ["dcgan", "alice/../gan", "alice/gan@"])
def test_a_name_that_is_no_models_is_refused(name, capsys):
    assert deploy.main(["--repo", "alice/page", "--dry-run", "--models", f"alice/gan,{name}"]) == 1
    said = capsys.readouterr().err
    assert f"a model on the Hub is named user/repo, user/repo@revision or user/repo/subfolder, not {name!r}" in said
    assert said.count("\n") == 1


def test_addresses_are_understood_where_they_are_of_the_right_kind(capsys):
    site = "https://huggingface.co"
    assert deploy.main(["--repo", f"{site}/spaces/alice/page", "--dry-run", "--models",
                        f"alice/gan, {site}/alice/gan/tree/main,{site}/bob/gans/tree/v1/toys"]) == 0
    out = capsys.readouterr().out
    assert "MB, for alice/page\n" in out
    assert "GANLIB_MODELS=alice/gan,bob/gans/toys@v1\n" in out
    for arguments, sentence in (
            (["--repo", f"{site}/alice/page"], "is a model; a Space on the Hub is named user/space"),
            (["--repo", "alice/page", "--models", f"{site}/spaces/alice/page"], "is a Space; a model on the Hub is")):
        assert deploy.main([*arguments, "--dry-run"]) == 1
        assert sentence in capsys.readouterr().err


def test_a_folder_that_is_not_a_checkout_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a checkout of ganlib: it has no app.py, "):
        deploy.space_files(tmp_path, "alice/page", None)


def test_a_dry_run_lists_the_files(capsys):
    assert deploy.main(["--repo", "alice/page", "--dry-run"]) == 0
    plain = capsys.readouterr().out
    assert "weights/dcgan/model.safetensors" in plain
    assert "GANLIB_MODELS" not in plain
    assert deploy.main(["--repo", "alice/page", "--dry-run", "--models", "alice/gan, bob/gans/toys@v2"]) == 0
    assert "\nGANLIB_MODELS=alice/gan,bob/gans/toys@v2\n" in capsys.readouterr().out
    assert deploy.main(["--repo", "page", "--dry-run"]) == 1
    assert "a Space on the Hub is named user/space, not 'page'" in capsys.readouterr().err


def current(front: str, text: str = "\n# ganlib\n", hardware: str | None = None) -> publishing.Space:
    return publishing.Space(f"---\n{front}\n---\n{text}", hardware)


def test_what_is_not_given_is_that_of_the_space(matter):
    known = current("suggested_hardware: t4-small\nmodels:\n- bob/gan\npreload_from_hub:\n  - bob/gan a,b")
    front = matter(deploy.space_files(ROOT, "alice/page", current=known)["README.md"])
    assert front["suggested_hardware"] == "t4-small"
    assert (front["models"], front["preload_from_hub"]) == (["bob/gan"], ["bob/gan a,b"])
    given = deploy.space_files(ROOT, "alice/page", "cpu-basic", deploy.sources("alice/gan@v2"), current=known)
    front = matter(given["README.md"])
    assert (front["suggested_hardware"], front["models"]) == ("cpu-basic", ["alice/gan"])
    assert "preload_from_hub" not in front
    moved = known._replace(hardware="l4x1")  # in its settings
    assert matter(deploy.space_files(ROOT, "alice/page", current=moved)["README.md"])["suggested_hardware"] == "l4x1"
    new = deploy.space_files(ROOT, "alice/page")
    first = f"---\ntitle: Page\nemoji: 🌍\n---\n\nCheck out the configuration reference at {deploy.FIRST_README}"
    for other in ("", first, "---\ntitle: [mine\n---\n", "---\n- mine\n---\n", "---\n1: mine\n---\n"):
        assert deploy.space_files(ROOT, "alice/page", current=publishing.Space(other)) == new


def test_what_a_host_wrote_stays_and_what_is_ours_is_brought_up_to_date(matter):
    own = matter((ROOT / "README.md").read_bytes())
    known = current("title: My digits\nemoji: 🐙\ncolorFrom: pink\npinned: true\nshort_description: Mine\n"
                    "hf_oauth: true\nthumbnail: https://example.org/me.png\ntags: [mine, gan]\ndatasets: bob/set\n"
                    "sdk: docker\nsdk_version: 4.0.0\npython_version: 3.9\napp_file: other.py\nlicense: other")
    readme = deploy.space_files(ROOT, "alice/page", current=known)["README.md"]
    front = matter(readme)
    theirs = {"title": "My digits", "emoji": "🐙", "colorFrom": "pink", "pinned": True, "short_description": "Mine",
              "hf_oauth": True, "thumbnail": "https://example.org/me.png"}
    assert {key: front[key] for key in theirs} == theirs
    ours = ("colorTo", "sdk", "sdk_version", "python_version", "app_file", "license")
    assert {key: front[key] for key in ours} == {key: own[key] for key in ours}
    assert front["tags"] == [*own["tags"], "mine"]
    assert front["datasets"] == [*own["datasets"], "bob/set"]
    assert "In Python" in readme.decode()
    again = deploy.space_files(ROOT, "alice/page", current=publishing.Space(readme.decode()))["README.md"]
    assert again == readme
    words = current("title: mine", "\n# My page\n\nCome in.\n")
    assert deploy.space_files(ROOT, "alice/page", current=words)["README.md"].decode().endswith(
        "---\n\n# My page\n\nCome in.\n")


def test_zero_gpu_gets_a_python_and_a_torch_that_it_has(matter):
    files = deploy.space_files(ROOT, "alice/page", "zero-a10g")
    front, own = matter(files["README.md"]), (ROOT / "requirements.txt").read_text().splitlines()
    assert (front["suggested_hardware"], front["python_version"]) == ("zero-a10g", deploy.ZERO_GPU_PYTHON)
    lines = files["requirements.txt"].decode().splitlines()
    (before,), (after,) = (set(some) - set(others) for some, others in ((own, lines), (lines, own)))
    assert before.startswith("torch>=")
    assert after.removeprefix("torch==") in deploy.ZERO_GPU_TORCH
    for known in (current("title: mine", hardware="zero-a10g"), current("suggested_hardware: zero-a10g")):
        later = deploy.space_files(ROOT, "alice/page", current=known)
        assert later["requirements.txt"] == files["requirements.txt"]
        assert matter(later["README.md"])["python_version"] == deploy.ZERO_GPU_PYTHON
    back = deploy.space_files(ROOT, "alice/page", "cpu-basic", current=current("suggested_hardware: zero-a10g"))
    assert back["requirements.txt"] == ROOT / "requirements.txt"


def test_the_newest_torch_that_zero_gpu_has_and_we_allow_is_taken():
    assert deploy.for_zero_gpu("# torch\ntorch>=2.9,<2.12\ntorchvision>=0.24\n") == (
        "# torch\ntorch==2.11.0\ntorchvision>=0.24\n")
    with pytest.raises(ValueError, match=r"ZeroGPU has torch 2.8.0, .*, and ganlib needs torch>=3"):
        deploy.for_zero_gpu("torch>=3")


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A Hub that this process uses as alice, to deploy a small checkout."""
    checkout = tmp_path / "checkout"
    for name in (*deploy.TOP_LEVEL, "ganlib/hub.py", "weights/dcgan/config.json"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("---\ntitle: ganlib\n---\n# ganlib\n")
    (checkout / "requirements.txt").write_text("torch>=2.9\n")
    monkeypatch.setattr(deploy, "ROOT", checkout)
    with FakeHub() as found:
        found.use(monkeypatch, tmp_path / "home", "hf_alice")
        yield found


def space(server: FakeHub) -> dict[str, bytes]:
    return server.files("alice/page", repo_type="space")


def test_a_space_is_created_and_updated(server, matter, monkeypatch, capsys):
    models = "alice/gan,bob/gan@v2"
    assert deploy.main(["--repo", "alice/page", "--hardware", "zero-a10g", "--models", models]) == 0
    assert f"{server.endpoint}/spaces/alice/page\n" in capsys.readouterr().out
    assert set(space(server)) - {".gitattributes"} == set(deploy.space_files(deploy.ROOT, "alice/page"))
    server.put("alice/page", {"ganlib/old.py": b"", "weights/own/x.json": b"mine"}, repo_type="space")
    assert deploy.main(["--repo", "alice/page"]) == 0
    assert "Sent: " in capsys.readouterr().out
    assert deploy.main(["--repo", "alice/page"]) == 0
    newest = server._repos["spaces", "alice/page"].at("main").sha
    assert (f"No file has changed since {server.endpoint}/spaces/alice/page/commit/{newest}: no commit was made.\n"
            in capsys.readouterr().out)
    assert "ganlib/old.py" not in space(server)
    assert space(server)["weights/own/x.json"] == b"mine"
    front = matter(space(server)["README.md"])
    assert (front["suggested_hardware"], front["models"]) == ("zero-a10g", ["alice/gan", "bob/gan"])
    assert space(server)["requirements.txt"] == f"torch=={deploy.ZERO_GPU_TORCH[-1]}\n".encode()
    assert server.hardware == {"alice/page": "zero-a10g"}
    assert server.variables == {"alice/page": {"GANLIB_MODELS": models, "GRADIO_MCP_SERVER": "True"}}
    monkeypatch.setenv("HF_TOKEN", "hf_bob")
    assert deploy.main(["--repo", "alice/page", "--models", "bob/gan"]) == 1
    said = capsys.readouterr().err
    assert "nothing was sent to alice/page: your token has no right to write there" in said
    assert said.count("\n") == 1


def test_a_deployment_that_fails_says_what_has_been_done(server, capsys):
    server.put("alice/page", {"README.md": b"---\nsdk: gradio\n---\n"}, repo_type="space")
    command = ["--repo", "alice/page", "--hardware", "t4-small", "--models", "alice/gan"]
    server.answer("POST /api/spaces/alice/page/commit", 400, "Too large")
    assert deploy.main(command) == 1
    said = capsys.readouterr().err
    assert said.startswith("train.deploy: nothing was sent to alice/page: ")
    assert "Too large" in said
    assert said.count("\n") == 1
    assert set(space(server)) == {"README.md"}
    assert (server.variables, server.hardware) == ({}, {})
    server.answer("POST /api/spaces/alice/page/hardware", 402, "Payment required for t4-small.\nPay")
    assert deploy.main(command) == 1
    said = capsys.readouterr().err
    assert said.startswith("train.deploy: the files are in alice/page, but not all of its variables and hardware are ")
    assert "Payment required for t4-small" in said
    assert said.count("\n") == 1
    assert "app.py" in space(server)
    assert server.variables == {"alice/page": {"GANLIB_MODELS": "alice/gan", "GRADIO_MCP_SERVER": "True"}}
    server.variables["alice/page"]["GRADIO_MCP_SERVER"] = "False"  # by the host
    assert deploy.main(command) == 0
    assert server.variables["alice/page"]["GRADIO_MCP_SERVER"] == "False"
    assert server.hardware == {"alice/page": "t4-small"}


def test_what_a_host_changes_meanwhile_is_not_overwritten(server, capsys):
    assert deploy.main(["--repo", "alice/page"]) == 0
    words = {"README.md": b"---\ntitle: mine\n---\n# Mine\n"}
    for request in ("GET /api/spaces/alice/page/runtime", "POST .*/commit/main"):
        (deploy.ROOT / "app.py").write_text(request)
        server.before(request, lambda: server.put("alice/page", words, repo_type="space"))
        capsys.readouterr()
        assert deploy.main(["--repo", "alice/page"]) == 1
        assert capsys.readouterr().err == ("train.deploy: nothing was sent to alice/page: alice/page has changed in "
                                           "the meantime, run the command again\n")
        assert space(server)["README.md"] == words["README.md"]
    assert deploy.main(["--repo", "alice/page"]) == 0
    assert space(server)["README.md"].endswith(b"# Mine\n")


def test_an_account_without_a_subscription_is_told_of_zero_gpu(server, capsys):
    refusal = "hosting Gradio and Docker Spaces on free cpu-basic requires a PRO subscription."
    server.answer("POST /api/repos/create", 402, refusal)
    assert deploy.main(["--repo", "alice/page"]) == 1
    assert capsys.readouterr().err == (f"train.deploy: nothing was sent to alice/page: the Hub answered 402, "
                                       f"{refusal.rstrip('.')}; hardware zero-a10g needs no subscription\n")
    assert deploy.main(["--repo", "alice/page", "--hardware", "zero-a10g"]) == 0
    server.answer("POST /api/repos/create", 402, refusal)  # also of a Space that is there
    assert deploy.main(["--repo", "alice/page"]) == 0
    assert server.hardware == {"alice/page": "zero-a10g"}


@pytest.mark.slow
@pytest.mark.parametrize("hardware", ["cpu-basic", "zero-a10g"])
def test_the_build_of_a_space_finds_versions_that_fit(matter, hardware, tmp_path):
    """A build installs the requirements together with packages of its own."""
    pytest.importorskip("uv")
    files = deploy.space_files(ROOT, "alice/page", hardware)
    front = matter(files["README.md"])
    wanted = tmp_path / "wanted.txt"
    wanted.write_text(deploy.text_of(files["requirements.txt"]) + "\n".join(
        [f"gradio[oauth,mcp]=={front['sdk_version']}", "uvicorn>=0.14.0", "websockets>=10.4", "spaces"]))
    done = subprocess.run([sys.executable, "-m", "uv", "pip", "compile", wanted, "--python-platform", "linux",
                           "--python-version", front["python_version"]], capture_output=True, text=True, timeout=600)
    if "Failed to fetch" in done.stderr:
        pytest.skip("the package registry cannot be reached")
    assert done.returncode == 0, done.stderr
    torch, = re.findall(r"^torch==(.+)$", done.stdout, re.MULTILINE)
    assert (torch in deploy.ZERO_GPU_TORCH) == (hardware == "zero-a10g")
