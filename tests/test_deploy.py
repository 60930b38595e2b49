import re
from pathlib import Path

import pytest
from huggingface_hub.repocard import metadata_load

from ganlib import hub
from tests.fake_hub import FakeHub
from train import deploy

ROOT = Path(__file__).parents[1]
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
    assert f"gradio=={front['sdk_version']}\n" in (ROOT / "requirements.txt").read_text()
    assert (front["sdk"], front["app_file"], front["license"]) == ("gradio", "app.py", "mit")
    assert re.fullmatch(r"3\.\d+", front["python_version"])  # a text: a number would lose the 0 of 3.20
    assert front["models"] == []
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


def test_what_is_not_given_is_taken_from_the_readme_of_the_space(matter):
    current = ("---\r\ntitle: mine\r\nsuggested_hardware: t4-small\r\nmodels:\r\n- bob/gan\r\npreload_from_hub:\r\n"
               "  - bob/gan a,b\r\n---\r\ntext")
    front = matter(deploy.space_files(ROOT, "alice/page", current=current)["README.md"])
    assert (front["title"], front["suggested_hardware"]) == ("ganlib", "t4-small")
    assert (front["models"], front["preload_from_hub"]) == (["bob/gan"], ["bob/gan a,b"])
    given = deploy.space_files(ROOT, "alice/page", "cpu-basic", deploy.sources("alice/gan@v2"), current)
    front = matter(given["README.md"])
    assert (front["suggested_hardware"], front["models"]) == ("cpu-basic", ["alice/gan"])
    assert "preload_from_hub" not in front
    for other in ("", "no front matter", "---\ntitle: mine\n---\n", "---\ntitle: [mine\n---\n", "---\n- mine\n---\n"):
        assert deploy.space_files(ROOT, "alice/page", current=other) == deploy.space_files(ROOT, "alice/page")


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A Hub that this process uses as alice, to deploy a small checkout."""
    checkout = tmp_path / "checkout"
    for name in (*deploy.TOP_LEVEL, "ganlib/hub.py", "weights/dcgan/config.json"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("---\ntitle: ganlib\n---\n")
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
    assert "ganlib/old.py" not in space(server)
    assert space(server)["weights/own/x.json"] == b"mine"
    front = matter(space(server)["README.md"])
    assert (front["suggested_hardware"], front["models"]) == ("zero-a10g", ["alice/gan", "bob/gan"])
    assert server.hardware == {"alice/page": "zero-a10g"}
    assert server.variables == {"alice/page": {"GANLIB_MODELS": models}}
    monkeypatch.setenv("HF_TOKEN", "hf_bob")
    assert deploy.main(["--repo", "alice/page"]) == 1
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
    assert server.variables == {"alice/page": {"GANLIB_MODELS": "alice/gan"}}
    assert deploy.main(command) == 0
    assert server.hardware == {"alice/page": "t4-small"}
