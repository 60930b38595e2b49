"""A model without a discriminator, with an encoder or without one, on every tab and in every command."""

import asyncio
import base64
import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from gradio.processing_utils import encode_pil_to_bytes
from torch import nn

import ganlib
from ganlib import architectures, checkpoint, drawing, images, passport, publishing
from ganlib.architectures import ARCHITECTURES, build
from ganlib.data import DATASETS, ImageData
from ganlib.demo import draw, explore, game, generate, interpolate, models, passports, quality, rounds
from ganlib.demo.links import Reading
from ganlib.model import Model
from ganlib.recipes import RECIPES, Recipe
from ganlib.training import TrainConfig
from ganlib.waypoints import Waypoint
from tests.conftest import Formula, mark_as_measured, untrained, vae
from tests.fake_hub import FakeHub
from train import ablation, evaluate, film, publish, repeat, sample
from train.__main__ import main as train

SHARES = [0.1] * 10


@dataclass(frozen=True)
class Stroke:
    """An architecture of another package, older than encoders: a generator alone, without learned numbers."""

    shape: tuple[int, ...] = (1, 28, 28)
    latent_dim: int = 4
    num_classes: None = None
    widest = 28 * 28

    def discriminator(self) -> None:
        return None

    def fitted(self, shape, num_classes) -> "Stroke":
        return replace(self, shape=shape)

    def generator(self) -> nn.Module:
        def strokes(z):
            columns = torch.arange(28.0)
            return (2 * torch.exp(-(columns - 14 - 4 * z[:, :1]).square() / 4) - 1)[:, None, None].expand(-1, 1, 28, -1)

        return Formula(strokes)


def registered(patch: pytest.MonkeyPatch) -> None:
    """Register Stroke until the patch is undone."""
    patch.setattr(architectures, "KINDS", dict(architectures.KINDS))
    architectures.register("stroke")(Stroke)


def folder_of(model: Model, folder: Path) -> Path:
    """Save a model with measures as a run writes them, a history, and a picture of its training."""
    model.metrics = {"data": "mnist", "against": "test images", "samples": 1_000, "class_shares_of_real": SHARES}
    if model.encoder is not None:
        model.metrics["reconstruction_psnr"] = 23.4
    model.history = [{"step": step, "reconstruction_loss": 90.0, "kl_divergence": 20.0} for step in (1, 2)]
    model.history.append({"step": 2, "fid_digit_classifier": 9.0, "precision": 0.5, "recall": 0.6})
    model.config["recipe"] = {"data": "mnist", "train": {"loss": "elbo"} if model.encoder is not None else {}}
    ganlib.save(model, folder)
    model.metrics |= checkpoint.hashes(folder)
    checkpoint.write_atomically(folder / "metrics.json", checkpoint.to_json(model.metrics))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A GAN, a VAE, and a generator of another package."""
    there = tmp_path_factory.mktemp("weights")
    small = {"generator_channels": (8, 8, 4), "discriminator_channels": (4, 8), "features": 8}
    with pytest.MonkeyPatch.context() as patch:
        registered(patch)
        foreign = Stroke()
        saved = [ganlib.save(untrained(**small), there / "dcgan"), folder_of(vae(), there / "vae"),
                 folder_of(Model("stroke", foreign, *build(foreign, None)), there / "stroke")]
    return {folder.name: folder for folder in saved}


@pytest.fixture
def page(folders, monkeypatch) -> dict[str, Path]:
    """The three are the models of the page."""
    registered(monkeypatch)
    monkeypatch.setattr(models, "own", lambda: folders)
    monkeypatch.setattr(models, "_models", {})
    return folders


ALONE = pytest.mark.parametrize("name", ["vae", "stroke"])


def ask(function, asked: dict, visitor: str | None = None) -> dict:
    """The answer of a stage's server function, for those that want to know whose it is with a visitor."""
    async def table():
        return {"session_hash": visitor}

    return asyncio.run(function(asked, *([SimpleNamespace(json=table)] if visitor else [])))


def sent(answer: dict) -> bytes:
    return base64.b64decode(answer["pixels"])


def pixels(x) -> bytes:
    return images.to_uint8(x).permute(0, 2, 3, 1).contiguous().numpy().tobytes()


@pytest.fixture
def three() -> str:
    """A drawing as text."""
    return drawing.to_text(drawing.rounded(ganlib.load("mlp-gan", "cpu").sample([3])[0]))


@pytest.mark.usefixtures("page")
def test_they_come_last_and_a_gan_is_first():
    assert models.image_models() == ["dcgan", "stroke", "vae"]
    assert ganlib.load("dcgan", "cpu").discriminator is not None


@pytest.mark.usefixtures("page")
@ALONE
def test_generate_says_that_no_probability_is_written(name):
    sheet, status = generate.generate(name, 7, 4, 1.0, ["seed", "opinion"])
    plain, quiet = generate.generate(name, 7, 4, 1.0, ["seed"])
    assert status.endswith(" It has no discriminator, so no probability is written.")
    assert "iscriminator" not in quiet
    assert sheet.size == plain.size
    assert sheet.tobytes() == plain.tobytes()


@pytest.mark.usefixtures("page")
@ALONE
def test_a_picture_opens_the_tab_that_made_it(name):
    found = passport.read(encode_pil_to_bytes(generate.generate(name, 7, 4, 0.8, [])[0]))
    assert passports.settings(found)["model"] == name
    assert "are those that made the picture" in passports.word(found)
    restored = generate.restore(Reading(passports.settings(found)))
    assert restored[0]["value"] == name


@pytest.mark.usefixtures("page")
@ALONE
def test_draw_reads_without_a_probability(name, three):
    said = ask(draw.draw_read, {"model": name, "drawing": three})
    assert said["probability"] is None
    assert said["read"] in range(10)


def test_draw_shows_the_reconstruction_of_the_encoder_at_once(page, three):
    said = ask(draw.draw_read, {"model": "vae", "drawing": three})["encoded"]
    model, x = ganlib.load(page["vae"], "cpu"), drawing.from_text(three)[None]
    point = Waypoint.at(model.encode(x)[0])
    assert said["latent"] == str(point)
    assert sent(said) == pixels(model.decode(point.latent(model)[None]))
    for name in ("dcgan", "stroke"):
        assert ask(draw.draw_read, {"model": name, "drawing": three})["encoded"] is None


@pytest.mark.usefixtures("page")
def test_a_search_is_never_farther_than_the_reconstruction(three):
    encoded = ask(draw.draw_read, {"model": "vae", "drawing": three})["encoded"]
    first = ask(draw.draw_find, {"model": "vae", "drawing": three, "seed": 0}, "one")
    assert first["psnr"] >= encoded["psnr"] - 0.01
    assert ask(draw.draw_stop, {}, "one") == {}


def test_an_encoder_of_another_package_needs_no_coupling_layers(three):
    stroke, x = Stroke(), drawing.from_text(three)[None]
    encoder = Formula(lambda pictures: pictures[:, 0, 14, 12:16])
    assert torch.equal(Model("stroke", stroke, stroke.generator(), encoder=encoder).encode(x), x[:, 0, 14, 12:16])


@pytest.mark.usefixtures("page")
@ALONE
def test_interpolate_walks(name):
    walk = {"model": name, "waypoints": ["3", "8"], "steps": 3, "method": "slerp"}
    model = models.images(name)
    assert sent(ask(interpolate.interpolate_walk, walk)) == pixels(model.walk(model.latents([3, 8]), None, 3, "slerp"))


@pytest.mark.slow
@pytest.mark.usefixtures("page")
def test_explore_moves_a_vae():
    model = models.images("vae")
    names = [slider["name"] for slider in ask(explore.explore_directions, {"model": "vae"})["sliders"]]
    assert len(names) == min(explore.SLIDERS, model.latent_dim)
    still, moved = (ask(explore.explore_sliders, {"model": "vae", "point": "7", "amounts": amounts, "psi": 1})
                    for amounts in ([], [2]))
    assert sent(still) == pixels(model.sample([7]))
    assert sent(moved) != sent(still)
    plane = ask(explore.explore_plane, {"model": "vae", "corners": list("1234"), "at": [0, 1]})
    assert sent(plane) == pixels(model.sample([3]))
    assert ask(explore.explore_arithmetic, {"model": "vae", "a": "1", "b": "1", "c": "5"})["count"] == 4


@pytest.mark.usefixtures("page")
@ALONE
def test_the_game_says_why_not_and_offers_another_model(name):
    answer = ask(game.game_round, {"model": name, "round": 5})
    assert answer == {"refused": f"{name} has no discriminator to play against: choose a model that has one.",
                      "instead": "dcgan"}
    with pytest.raises(ValueError, match=f"{name} has no discriminator to play against: choose a model that has one"):
        rounds.draw(models.images(name), 5)


def test_the_game_offers_nothing_where_no_model_has_a_discriminator(page, monkeypatch):
    monkeypatch.setattr(models, "own", lambda: {"vae": page["vae"]})
    assert ask(game.game_round, {"model": "vae", "round": 5})["instead"] is None


@pytest.mark.slow
@pytest.mark.usefixtures("page")
def test_quality_counts_digits_and_compares_reconstructions():
    drawn, numbers = quality.quality("vae", 7)
    assert sum(numbers["counts"]) == quality.CENSUS
    assert drawn.count("<figure") == 2
    table = quality.tables({name: models.images(name).metrics for name in ("vae", "stroke")})
    assert "PSNR of the reconstructions of test images, mean in dB ↑</th><td>23.4</td><td></td>" in table
    assert quality.growth("vae", 0) == (None, "The folder of vae has no pictures of the training.")


# commands

def test_models_are_compared(page, capsys):
    assert evaluate.main(["--compare", str(page["vae"]), str(page["stroke"])]) == 0
    assert "| PSNR of the reconstructions of test images, mean in dB | 23.4 |  |" in capsys.readouterr().out


@pytest.mark.slow
def test_a_vae_is_published_and_loaded_again(page, tmp_path, monkeypatch, capsys):
    expected = ganlib.load(page["vae"], "cpu")
    with FakeHub() as server:
        server.use(monkeypatch, tmp_path, "hf_alice")
        assert publish.main([str(page["vae"]), "--repo", "alice/vae"]) == 0
        assert " encoder.safetensors " in capsys.readouterr().out
        found = ganlib.load("alice/vae", "cpu")
        x = expected.sample(range(3))
        assert torch.equal(found.encode(x), expected.encode(x))
        assert "tags:\n- vae\n- ganlib\n" in publishing.prepare(page["vae"], "alice/vae").files["README.md"].decode()


@pytest.mark.slow
def test_a_gan_that_is_published_over_a_vae_takes_its_encoder_away(page, tmp_path, monkeypatch):
    gan = mark_as_measured(ganlib.save(ganlib.load(page["dcgan"], "cpu"), tmp_path / "gan"))
    with FakeHub() as server:
        server.use(monkeypatch, tmp_path, "hf_alice")
        for folder in (page["vae"], gan):
            publishing.publish(publishing.prepare(folder, "alice/model"))
        assert ganlib.load("alice/model", "cpu").encoder is None
        names = {path.name for path in (ganlib.load("alice/model", "cpu").folder).iterdir()}
        assert "encoder.safetensors" not in names


def test_a_spoilt_encoder_is_not_published(page, tmp_path, capsys):
    model = ganlib.load(page["vae"], "cpu")
    next(model.encoder.parameters()).add_(0.5)
    ganlib.save(model, tmp_path / "vae")
    assert publish.main([str(tmp_path / "vae"), "--repo", "alice/vae", "--dry-run"]) == 1
    assert "or was measured on other weights" in capsys.readouterr().err


def test_a_card_says_gan_only_of_a_gan(page):
    cards = {name: publishing.prepare(mark_as_measured(folder) if name == "dcgan" else folder, "a/b").files["README.md"]
             for name, folder in page.items()}
    assert b"A small GAN (dcgan)" in cards["dcgan"]
    assert b"A small VAE (vae)" in cards["vae"]
    for name in ("vae", "stroke"):
        assert b"GAN" not in cards[name], name
        assert b"iscriminator" not in cards[name], name


@ALONE
def test_samples_are_written(page, name, tmp_path):
    assert sample.main([str(page[name]), "--seeds", "0-2", "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert len(list((tmp_path / "out").glob("seed*.png"))) == 3


@pytest.fixture
def recipe(monkeypatch) -> TrainConfig:
    """The recipe "vae" makes small networks of 200 images of noise."""
    config = TrainConfig(steps=5, batch_size=8, loss="elbo", generator_lr=1e-3)
    pictures = ImageData("bars", torch.randint(256, (200, 1, 28, 28), dtype=torch.uint8))
    monkeypatch.setitem(ARCHITECTURES, "vae", vae().architecture)
    monkeypatch.setitem(RECIPES, "vae", Recipe("vae", "bars", config))
    monkeypatch.setitem(DATASETS, "bars", lambda *_: replace(pictures, held_out=lambda: pictures[::2]))
    monkeypatch.setattr("ganlib.training.STATISTICS", 32)
    return config


@pytest.mark.slow
def test_a_recipe_is_repeated(recipe, capsys):
    assert repeat.main(["vae", "--runs", "1", "--device", "cpu"]) == 0
    assert "| PSNR of the reconstructions of test images, mean in dB |" in capsys.readouterr().out


@pytest.mark.usefixtures("recipe")
def test_a_dry_run_tells_the_sizes_of_both_networks(capsys):
    assert train(["vae", "--dry-run", "--device", "cpu"]) == 0
    sizes = json.loads(capsys.readouterr().out)["sizes"]
    assert sizes["encoder_parameters"] > 0
    assert "discriminator_parameters" not in sizes


@pytest.mark.usefixtures("recipe")
@pytest.mark.parametrize(("options", "sentence"), [
    (["--augment"], "augment and n_critic are of a discriminator, and elbo trains none: leave them out"),
    (["--init", "mlp-gan"], "the networks of mlp-gan do not fit this run"),
])
def test_what_a_vae_does_not_have_is_refused_in_one_sentence(options, sentence, tmp_path, capsys):
    assert train(["vae", "--device", "cpu", "--out", str(tmp_path / "out"), *options]) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_commands_for_gans_alone_say_so(capsys):
    for command, told in ((ablation, "the ingredients of a GAN"), (film, "invalid choice: 'vae'")):
        with pytest.raises(SystemExit):
            command.main(["vae"] if command is film else ["--help"])
        said = capsys.readouterr()
        assert told in " ".join((said.out + said.err).split())
