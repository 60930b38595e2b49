"""--on-hf: trainings on the fake Hub's jobs, by the real client; each job runs in an environment of its own."""

import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import zipfile
from argparse import Namespace
from contextlib import ExitStack, suppress
from io import BytesIO
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import ganlib
from ganlib import jobs as hub_jobs
from ganlib.hub import HubError
from ganlib.jobs import BRANCH
from ganlib.training import saved_step
from tests import fresh
from tests.fake_hub import FakeHub
from tests.fake_jobs import Jobs
from tests.test_train import draw_folder
from train import jobs
from train.__main__ import main

ROOT = Path(__file__).parents[1]
TOKEN = "hf_alice"
RUN = ["toy-ring", "--steps", "12", "--batch-size", "64", "--push", "alice/ring"]
ON = ["--on-hf", "cpu-basic"]
SHARED = ("PATH", "NO_PROXY", "no_proxy", "HF_ENDPOINT", "HF_HUB_DISABLE_XET", "OMP_NUM_THREADS", "TMPDIR")


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A Hub that this process uses as alice, with jobs that wait until they are stopped."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GANLIB_IMPORT", raising=False)
    with FakeHub() as found:
        found.use(monkeypatch, tmp_path / "home", TOKEN)
        environment = found.environment(tmp_path / "home")
        found.jobs = Jobs(tmp_path / "jobs", {name: environment[name] for name in SHARED if name in environment}, None)
        yield found
        found.jobs.close()


@pytest.fixture
def running(server, tmp_path):
    """The same Hub, whose jobs have a Python with what they ask for."""
    made: dict[tuple[str, ...], Path] = {}

    def python(requirements: list[str]) -> Path:
        wanted, folder = tuple(requirements), tmp_path / f"environment-{len(made)}"
        if wanted not in made:
            folder.mkdir()
            (folder / "requirements.txt").write_text("\n".join(wanted))
            made[wanted] = fresh.create(folder, folder / "requirements.txt").python
        return made[wanted]

    server.jobs._python = python
    return server


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def sentence(capsys) -> str:
    said = capsys.readouterr().err
    assert said.startswith(("train: ", "python -m train: "))
    assert said.count("\n") == 1, said
    return said


def test_the_price_is_shown_and_a_dry_run_starts_nothing(server, capsys):
    assert run(*RUN, "--on-hf", "a10g-small", "--timeout", "90m", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "a10g-small, Nvidia A10G - small, 4 vCPU, 15 GB, 24 GB on the GPU." in shown
    assert "It costs $1.00 an hour, $0.0167 a minute; at most $1.50 for --timeout 90m.\n" in shown
    assert "Run there: ganlib train toy-ring --steps 12 --batch-size 64 --push alice/ring\n" in shown
    assert "torch>=" in shown
    assert shown.endswith("Nothing was started.\n")
    assert not [seen for seen in server.requests if seen.method == "POST"]
    assert run(*RUN, *ON, "--dry-run") == 0
    assert "at most $0.02 for --timeout 2h (the default).\n" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "wrong"), [
    (["--on-hf", "a100"], "--on-hf must be one of cpu-basic, a10g-small, not 'a100'"),
    ([*ON, "--timeout", "soon"], "--timeout must be a time such as 30m, 2h or 1d, not 'soon'"),
    ([*ON, "--timeout", "0"], "--timeout must be a time such as 30m, 2h or 1d, not '0'"),
    (["--timeout", "1h"], "--timeout ends a job on Hugging Face: give --on-hf FLAVOUR too"),
    ([*ON, "--resume"], "--on-hf does not go with --resume: the same command goes on from the checkpoint"),
    ([*ON, "--out", "here"], "--on-hf does not go with --out: the weights go to the repo of --push"),
    ([*ON, "--device", "cuda"], "--on-hf does not go with --device: the flavour decides it"),
    ([*ON, "--track"], "--track on this machine would end with the job: give --track USER/SPACE"),
    ([*ON, "--data", "nowhere"], "no folder 'nowhere', and no dataset of that name"),
    ([*ON, "--push", "bob/ring"], "bob/ring cannot be written to"),
])
def test_a_wrong_option_is_refused_in_one_sentence_before_anything_is_sent(server, capsys, options, wrong):
    assert run(*RUN, *options) == 1
    assert wrong in sentence(capsys)
    assert not server.jobs.started
    assert ("models", "alice/ring") not in server._repos


def test_a_job_needs_a_repo_to_push_to(server, capsys):
    assert run("toy-ring", *ON) == 1
    assert "--on-hf needs --push USER/NAME" in sentence(capsys)
    assert run("digit-classifier", *ON) == 1
    assert "leave --on-hf out" in sentence(capsys)


def test_pictures_are_sent_to_private_repos_only(server, capsys, tmp_path):
    draw_folder(tmp_path / "mine")
    options = ["dcgan", "--data", "mine", "--channels", "3", "--steps", "5", "--push", "alice/mine", *ON, "--dry-run"]
    assert run(*options) == 1
    assert "everybody could see them: make it a private repo first" in sentence(capsys)
    server.put("alice/mine", {"README.md": b""}, private=True)
    assert run(*options) == 0
    shown = capsys.readouterr().out
    assert "gets the code of ganlib, the pictures in mine in its branch ganlib-job (ganlib.zip " in shown
    assert "pictures.zip" in shown
    assert "--data pictures/mine" in shown
    (tmp_path / "mine" / "broken.png").write_bytes(b"no picture")
    assert run(*options) == 1
    assert "broken.png" in sentence(capsys)


@pytest.mark.slow
def test_ctrl_c_leaves_the_job_running_and_another_into_the_same_repo_is_refused(server, tmp_path, capsys):
    environment = server.environment(tmp_path / "home", TOKEN) | {"PYTHONPATH": str(ROOT)}
    environment.pop("GANLIB_IMPORT", None)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
    try:
        followed = subprocess.Popen([sys.executable, "-m", "train", *RUN, *ON], env=environment, cwd=tmp_path,
                                    text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        while "Ctrl-C leaves it running." not in (line := followed.stdout.readline()):
            assert line, followed.stderr.read()
        followed.send_signal(signal.SIGINT)
        rest, error = followed.communicate(timeout=60)
    finally:
        followed.kill()
    assert followed.returncode == 130
    assert "The job goes on. Follow it by `hf jobs logs job0 --follow`, stop it by `hf jobs cancel job0`." in rest
    assert error == ""
    assert server.jobs.started[0].stage == "RUNNING"
    assert run(*RUN, *ON) == 1
    assert "the job job0 trains into alice/ring now: follow it by `hf jobs logs job0 --follow`" in sentence(capsys)


def test_a_failed_job_says_why_with_its_last_lines(server, tmp_path, capsys):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nfor i in 1 2 3 4 5 6; do echo line $i; done; echo no space left >&2; exit 3\n")
    broken.chmod(0o755)
    server.jobs._python = lambda requirements: broken
    assert run(*RUN, *ON, "--timeout", "30m") == 1
    said = capsys.readouterr()
    assert "line 1\nline 2\n" in said.out
    assert "the job job0 did not complete (ERROR, Job failed with exit code: 3. Reason: Error)" in said.err
    assert said.err.endswith("  line 3\n  line 4\n  line 5\n  line 6\n  no space left\n")
    (job,) = server.jobs.started
    assert job.spec["timeoutSeconds"] == 1800
    assert job.spec["flavor"] == "cpu-basic"


def test_the_token_is_a_secret_of_the_job_and_nowhere_else(server, capsys, monkeypatch):
    monkeypatch.setattr(hub_jobs, "log", lambda job: iter([]))
    monkeypatch.setattr(hub_jobs, "failure", lambda job: None)
    assert run(*RUN, *ON) == 0
    said, (job,) = capsys.readouterr(), server.jobs.started
    assert job.spec.pop("secrets") == {"HF_TOKEN": TOKEN}
    assert TOKEN not in json.dumps(job.spec) + said.out + said.err
    files = server.files("alice/ring", revision=BRANCH)
    with zipfile.ZipFile(BytesIO(files["ganlib.zip"])) as packed:
        contents = {name: packed.read(name) for name in packed.namelist()}
    assert not [name for name, content in (files | contents).items() if TOKEN.encode() in content]
    assert {"ganlib/runs.py", "ganlib/commands/__main__.py", "ganlib/weights/digit-classifier/model.safetensors"} <= {
        *contents}
    assert not [name for name in contents if "demo" in name or "dcgan/" in name]
    assert contents["ganlib/runs.py"] == (ROOT / "ganlib" / "runs.py").read_bytes()


def test_the_checkpoint_of_another_run_is_not_replaced_unasked(server, capsys):
    kept = jobs.description(options(RUN), has_gpu=False)
    server.put("alice/ring", {"README.md": b""})
    server.put("alice/ring", {"training/state.safetensors": b"0", "run.json": json.dumps(kept).encode()}, BRANCH)
    assert run(*RUN, *ON, "--dry-run") == 0
    assert "It goes on from the checkpoint in the repo." in capsys.readouterr().out
    assert run(*RUN, "--seed", "7", "--on-hf", "a10g-small", "--dry-run") == 1
    assert "alice/ring holds the checkpoint of another run, which differs in device, seed: give the" in sentence(capsys)
    assert run(*RUN, "--seed", "7", *ON, "--overwrite", "--dry-run") == 0
    assert "It begins anew." in capsys.readouterr().out


def options(argv: list[str]):
    from train.__main__ import parser

    return parser().parse_args(argv)


def test_modules_that_register_more_are_sent_too_to_private_repos_only(server, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("mylab/__init__.py", "mylab/nets.py", "mylab/deep/more.py", "alone.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.setenv("GANLIB_IMPORT", "mylab.nets, alone")
    assert set(jobs.extensions()) == {"mylab/__init__.py", "mylab/nets.py", "mylab/deep/more.py", "alone.py"}
    assert jobs.environment("key")["GANLIB_IMPORT"] == "mylab.nets, alone"
    assert run(*RUN, *ON, "--dry-run") == 1
    assert "(alone.py, mylab) would be sent to alice/ring, where everybody could see them" in sentence(capsys)
    server.put("alice/ring", {"README.md": b""}, private=True)
    assert run(*RUN, *ON, "--dry-run") == 0
    assert "gets the code of ganlib, the modules of GANLIB_IMPORT (alone.py, mylab) in" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["nowhere", "nowhere.deep", "mylab.nowhere"])
def test_a_module_that_is_missing_is_named_in_one_sentence(tmp_path, monkeypatch, name):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mylab").mkdir()
    (tmp_path / "mylab" / "__init__.py").write_text("")
    monkeypatch.setenv("GANLIB_IMPORT", name)
    with pytest.raises(ImportError, match=f"^GANLIB_IMPORT names the module {name}, which is not installed and not in"):
        runpy.run_path(ganlib.__file__)
    (tmp_path / "broken.py").write_text("import nowhere_else")
    monkeypatch.setenv("GANLIB_IMPORT", "broken")
    with pytest.raises(ModuleNotFoundError, match="nowhere_else"):
        runpy.run_path(ganlib.__file__)


def test_own_weights_are_sent_to_private_repos_only(server, tmp_path, capsys):
    ganlib.save(ganlib.load("toy-ring", "cpu"), tmp_path / "own")
    assert run(*RUN, *ON, "--init", "own", "--dry-run") == 1
    assert "the weights in own would be sent to alice/ring, where everybody could see them" in sentence(capsys)
    assert run(*RUN, *ON, "--init", "toy-ring", "--dry-run") == 0
    server.put("alice/ring", {"README.md": b""}, private=True)
    assert run(*RUN, *ON, "--init", "own", "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "--init init/own" in shown
    assert "gets the code of ganlib, the weights in own in its branch" in shown


def test_an_archive_of_the_same_files_has_the_same_bytes(tmp_path):
    (tmp_path / "one.txt").write_text("1")
    for name in ("first.zip", "second.zip"):
        jobs.write_archive(tmp_path / name, {"one.txt": tmp_path / "one.txt"})
        os.utime(tmp_path / "one.txt", (1e9, 1e9))
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:  # nor is it of the time at which it was written
        assert [file.date_time for file in archive.infolist()] == [(1980, 1, 1, 0, 0, 0)]


def test_the_shown_maximum_is_rounded_up():
    assert [jobs.cents(dollars) for dollars in (0.0149, 0.02, 1.5, 0)] == [0.02, 0.02, 1.5, 0]


@pytest.mark.slow
def test_an_installed_package_sends_itself_as_a_checkout_does(tmp_path):
    code = """
import argparse, json
from ganlib.commands import jobs
print(json.dumps([jobs.needed(argparse.Namespace(track="alice/runs")), dict(jobs.package())], default=str))
"""
    installed = fresh.unpacked_wheel(tmp_path)
    ran = subprocess.run([sys.executable, "-c", code], cwd=installed, text=True, capture_output=True, check=True)
    needed, package = json.loads(ran.stdout)
    assert set(package) == set(dict(jobs.package()))
    assert all(Path(path).is_relative_to(installed) for path in package.values())
    assert set(map(Requirement, needed)) == set(map(Requirement, jobs.needed(Namespace(track="alice/runs"))))


@pytest.fixture
def branch(server, tmp_path):
    """Begins a run in alice/ring. Gives the key of the branch, the file of its checkpoint, and makes a sender."""
    server.put("alice/ring", {"README.md": b""})
    key, state = hub_jobs.send("alice/ring", {}, {}, anew=True), tmp_path / "out" / "training" / "state.safetensors"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"first")
    return key, state, lambda told: hub_jobs.Sender("alice/ring", key, tmp_path / "out", told.append, every=3600)


def test_checkpoints_are_sent_in_the_background_and_the_newest_wins(server, tmp_path, branch):
    (key, state, new), told = branch, []
    sender = new(told)
    with server.hold("POST .*/commit/") as reached:
        for content in (b"first", b"second", b"third"):
            state.write_bytes(content)
            sender.offer()  # does not wait
            assert reached.wait(60)
    sender.close()
    assert sender.sent
    assert told == ["The checkpoint is in the branch ganlib-job of alice/ring."] * 2
    assert server.files("alice/ring", revision=BRANCH)["training/state.safetensors"] == b"third"
    assert len(server.commits("alice/ring", BRANCH)) == 1
    assert hub_jobs.fetch_checkpoint("alice/ring", key, tmp_path / "fetched")
    assert (tmp_path / "fetched" / "training" / "state.safetensors").read_bytes() == b"third"
    hub_jobs.forget("alice/ring", key)
    assert server.branches("alice/ring") == {"main"}
    with pytest.raises(HubError):
        hub_jobs.fetch_checkpoint("alice/ring", key, tmp_path / "fetched")


def test_a_training_waits_a_while_for_its_last_checkpoint_and_not_for_ever(server, branch, monkeypatch):
    (_, _, new), told = branch, []
    monkeypatch.setattr(hub_jobs, "PATIENCE", 0.05)
    sender = new(told)
    with server.hold("POST .*/commit/") as reached:
        sender.offer()
        assert reached.wait(60)
        sender.close()
        assert not sender.sent
        assert told == []
    sender._thread.join(60)
    assert sender.sent


@pytest.mark.parametrize(("failures", "said"), [(0, jobs.AGAIN), (1, jobs.AGAIN), (3, jobs.LOST)])
def test_a_stopped_job_says_whether_its_last_checkpoint_was_sent(server, branch, monkeypatch, capsys, failures, said):
    from train import __main__ as command

    def stopped(run, data, tracked, saved) -> bool:
        (run.out / "training").mkdir(exist_ok=True)
        (run.out / "training" / "state.safetensors").write_bytes(b"of the last step")
        saved()
        return False

    key, *_ = branch
    monkeypatch.setenv(jobs.IN_JOB, key)
    monkeypatch.setattr(command, "train", stopped)
    for _ in range(failures):
        server.answer("POST .*/commit/", 400, "Down")
    assert run(*RUN) == 130
    assert capsys.readouterr().out.splitlines()[-1] == said


def test_a_job_in_whose_place_another_was_started_publishes_nothing(server, branch, monkeypatch, capsys):
    from train import __main__ as command

    key, *_ = branch
    monkeypatch.setenv(jobs.IN_JOB, key)
    monkeypatch.setattr(command, "train", lambda *_: hub_jobs.send("alice/ring", {}, {}, anew=True))
    assert run(*RUN) == 1
    assert "another job was started into alice/ring" in sentence(capsys)
    assert set(server.files("alice/ring")) == {"README.md"}
    server.put("alice/empty", {"README.md": b""})
    hub_jobs.check_own("alice/empty", key)  # has no branch: somebody deleted it


@pytest.mark.parametrize("failures", [2, 3])
def test_a_checkpoint_that_was_not_sent_is_tried_again_at_the_end_twice_at_most(server, branch, failures):
    (_, _, new), told = branch, []
    for _ in range(failures):
        server.answer("POST .*/commit/", 400, "Down")
    sender = new(told)
    with server.hold("GET .*/revision/") as reached:
        sender.offer()
        assert reached.wait(60)
        sender._closed = True  # while the first try goes on
    sender.close()
    assert sender.sent == (failures == 2)
    assert len([words for words in told if words.startswith("warning: the checkpoint was not sent")]) == failures


def test_a_job_whose_branch_another_one_has_taken_neither_sends_nor_reads(server, tmp_path, branch):
    (key, _, new), told = branch, []
    sender = new(told)
    assert hub_jobs.send("alice/ring", {}, {}, anew=True) != key
    sender.offer()
    sender.close()
    assert not sender.sent
    assert told == ["warning: another job was started into alice/ring: this one reads and writes nothing there any "
                    "more"]
    assert "training/state.safetensors" not in server.files("alice/ring", revision=BRANCH)
    server.put("alice/ring", {"training/state.safetensors": b"of the other"}, BRANCH)
    with pytest.raises(hub_jobs.Replaced):
        hub_jobs.fetch_checkpoint("alice/ring", key, tmp_path / "fetched")
    with pytest.raises(hub_jobs.Replaced):
        hub_jobs.check_own("alice/ring", key)
    with pytest.raises(hub_jobs.Replaced):
        hub_jobs.forget("alice/ring", key)
    assert BRANCH in server.branches("alice/ring")


def test_a_new_job_does_not_read_a_checkpoint_of_another_either_where_none_is_sent_yet(server, tmp_path, branch):
    key, *_ = branch
    hub_jobs.send("alice/ring", {}, {}, anew=True)
    with pytest.raises(hub_jobs.Replaced):
        hub_jobs.fetch_checkpoint("alice/ring", key, tmp_path / "fetched")


@pytest.mark.parametrize("moment", ["GET .*/revision/", "GET .*/tree/", "POST .*/commit/"])
def test_a_checkpoint_that_comes_while_a_new_run_is_sent_does_not_stay(server, branch, moment):
    late = {"training/state.safetensors": b"of the old run"}
    server.before(moment, lambda: server.put("alice/ring", late, BRANCH))
    with suppress(HubError):  # "has changed in the meantime, run the command again"
        hub_jobs.send("alice/ring", {"seed": 7}, {}, anew=True)
    described = json.loads(server.files("alice/ring", revision=BRANCH)["run.json"])
    assert (late.keys() <= server.files("alice/ring", revision=BRANCH).keys()) == ("seed" not in described)


def test_what_an_earlier_run_left_in_the_branch_is_removed_but_not_the_checkpoint_to_go_on_from(server, tmp_path):
    (tmp_path / "code.zip").write_bytes(b"code")
    left = {"pictures.zip": b"0", "training/state.safetensors": b"1"}
    server.put("alice/ring", {"README.md": b""})
    server.put("alice/ring", left, BRANCH)
    for anew, there in ((False, {"training/state.safetensors"}), (True, set())):
        hub_jobs.send("alice/ring", {"seed": 7}, {"code.zip": tmp_path / "code.zip"}, anew=anew)
        assert set(server.files("alice/ring", revision=BRANCH)) == {"run.json", "code.zip", *there}
    server.put("alice/ring", left, BRANCH)
    assert hub_jobs.kept_run("alice/ring") == {"seed": 7}


@pytest.mark.slow
def test_a_job_that_was_killed_goes_on_bit_for_bit_and_ends_with_published_weights(running, tmp_path, monkeypatch,
                                                                                   capfd):
    own = hub_jobs.start
    with ExitStack() as first_checkpoint:
        def start(*arguments) -> hub_jobs.Job:
            reached = first_checkpoint.enter_context(running.hold("POST .*/super-squash/"))
            job = own(*arguments)
            threading.Thread(target=lambda: reached.wait(300) and running.jobs.kill(running.jobs.started[0])).start()
            return job

        monkeypatch.setattr(hub_jobs, "start", start)
        assert run(*RUN, *ON) == 1
    monkeypatch.setattr(hub_jobs, "start", own)
    assert "the same command goes on from its last checkpoint" in capfd.readouterr().err
    (tmp_path / "state").write_bytes(running.files("alice/ring", revision=BRANCH)["training/state.safetensors"])
    assert 0 < (step := saved_step(tmp_path / "state")) < 12
    assert run(*RUN, *ON) == 0
    said = capfd.readouterr()
    assert f"It goes on from step {step:,} of 12." in said.out
    assert "toy-ring: 100%" in said.out
    assert "The job is done: ganlib.load('alice/ring') opens the weights." in said.out
    assert TOKEN not in said.out + said.err
    assert running.branches("alice/ring") == {"main"}
    there, own = running.files("alice/ring"), tmp_path / "uninterrupted"
    assert {"README.md", "metrics.json", "history.json", "samples.png"} <= set(there)
    assert run(*RUN[:-2], "--out", own, "--device", "cpu") == 0
    for name in ("model.safetensors", "discriminator.safetensors"):
        assert there[name] == (own / name).read_bytes()
    assert ganlib.load("alice/ring", "cpu").sample(range(3)).equal(ganlib.load(own, "cpu").sample(range(3)))


@pytest.mark.slow
def test_a_job_that_is_asked_to_end_sends_its_last_step(running, tmp_path, capfd):
    threading.Thread(target=running.jobs.end_at, args=("toy-ring:   0%",)).start()
    assert run("toy-ring", "--steps", "5000", "--batch-size", "64", "--push",
               "https://huggingface.co/alice/ring", *ON) == 1
    said = capfd.readouterr()
    assert "Stopped and saved. The same command goes on from there." in said.out
    assert "Job failed with exit code: 130" in said.err
    (tmp_path / "state").write_bytes(running.files("alice/ring", revision=BRANCH)["training/state.safetensors"])
    assert 0 < saved_step(tmp_path / "state") < 5000


@pytest.mark.slow
def test_a_job_learns_own_pictures_from_shipped_weights(running, tmp_path, capfd):
    draw_folder(tmp_path / "mine")
    running.put("alice/mine", {"README.md": b""}, private=True)
    assert run("mlp-gan", "--data", "mine", "--init", "mlp-gan", "--steps", "2", "--batch-size", "16", "--name", "mine",
               "--push", "alice/mine", *ON) == 0, capfd.readouterr()
    model = ganlib.load("alice/mine", "cpu")
    assert model.name == "alice/mine"
    assert model.config["recipe"]["started_from"]["model"] == "mlp-gan"
    assert model.metrics["real_images"] == len(list((tmp_path / "mine").iterdir()))
    assert os.listdir(tmp_path / "jobs") == ["job0"]
