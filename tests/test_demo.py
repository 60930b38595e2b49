"""The page through its own API, as gradio_client calls it."""

import functools
from dataclasses import dataclass

import numpy
import pytest
import torch
from gradio.processing_utils import encode_pil_to_bytes
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import ganlib
from ganlib import images, passport
from ganlib.architectures import MLP
from ganlib.checkpoint import WeightsError
from ganlib.data import DATASETS
from ganlib.demo import generate, interpolate, models, points, quality, toy
from ganlib.model import Model
from ganlib.report import growth
from ganlib.toys import Points
from tests.conftest import untrained

SMALL = {"generator_channels": (8, 8, 8), "discriminator_channels": (8, 8), "features": 8}


@pytest.fixture(scope="module")
def client(address):
    found = Client(address, verbose=False)
    yield found
    found.close()


def pixels(path: str) -> numpy.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return numpy.asarray(image.convert("RGB"))


def test_the_api_has_the_promised_names(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {"/generate", "/read", "/invert", "/interpolate", "/frame", "/walk", "/explore",
                          "/plane", "/arithmetic", "/game", "/answers", "/lab", "/toy", "/quality", "/growth",
                          "/passport", "/course", "/layers", "/cross_entropy", "/discriminate", "/mean_digit",
                          "/classifiers", "/best_discriminator", "/generator_losses",
                          "/reconstruct", "/compare", "/influence"}
    assert [p["parameter_name"] for p in named["/generate"]["parameters"]] == [
        "model", "seed", "count", "truncation", "captions", "digit"]
    assert [p["parameter_name"] for p in named["/interpolate"]["parameters"]] == [
        "model", "first", "second", "steps", "method"]
    assert [p["parameter_name"] for p in named["/walk"]["parameters"]] == [
        "model", "waypoints", "steps", "method", "closed", "psi"]
    assert [p["parameter_name"] for p in named["/read"]["parameters"]] == ["model", "picture"]
    assert [p["parameter_name"] for p in named["/invert"]["parameters"]] == ["model", "picture", "digit", "seed"]
    assert [p["parameter_name"] for p in named["/explore"]["parameters"]] == [
        "model", "point", "amounts", "digit", "psi"]
    assert [p["parameter_name"] for p in named["/plane"]["parameters"]] == [
        "model", "corners", "x", "y", "digit", "psi"]
    assert [p["parameter_name"] for p in named["/arithmetic"]["parameters"]] == ["model", "a", "b", "c", "psi"]
    assert [p["parameter_name"] for p in named["/game"]["parameters"]] == ["model", "round"]
    assert [p["parameter_name"] for p in named["/answers"]["parameters"]] == ["model", "round", "guesses"]
    assert [p["parameter_name"] for p in named["/toy"]["parameters"]] == ["model", "count", "seed"]
    assert [p["parameter_name"] for p in named["/lab"]["parameters"]] == [
        "settings", "steps", "every", "actions"]
    assert [p["parameter_name"] for p in named["/quality"]["parameters"]] == ["model", "seed"]
    assert [p["parameter_name"] for p in named["/growth"]["parameters"]] == ["model", "moment"]


def test_a_picture_has_a_passport_and_other_files_are_refused(client, tmp_path):
    sheet, _ = client.predict("mlp-gan", 3, 4, 0.8, [], "any", api_name="/generate")
    found = client.predict(handle_file(sheet), api_name="/passport")
    assert (found["tab"], found["model"], found["seed"], found["psi"]) == ("generate", "mlp-gan", 3, 0.8)
    (tmp_path / "none.png").write_bytes(b"no picture")
    with pytest.raises(AppError, match="The file is no PNG, GIF or MP4"):
        client.predict(handle_file(tmp_path / "none.png"), api_name="/passport")


def test_gradio_keeps_the_passport_of_a_stamped_picture():
    image, written = Image.new("RGB", (4, 4), (9, 8, 7)), {"ganlib": "1", "tab": "generate", "seed": 7}
    stamped = passport.stamp(image, written)
    assert passport.read(encode_pil_to_bytes(stamped)) == written
    assert stamped.tobytes() == image.tobytes()
    assert image.info == {}


def far_apart(sheet, expected: Image.Image) -> int:
    """By how many of 255 shades two pictures differ at most; the first may be a file's path."""
    found = pixels(sheet) if isinstance(sheet, str) else numpy.asarray(sheet.convert("RGB"))
    return numpy.abs(found.astype(int) - numpy.asarray(expected.convert("RGB")).astype(int)).max()


@pytest.fixture
def shown(tmp_path, monkeypatch):
    """Makes a model the only one of the page: from its weights folder, as the page loads it."""
    def show(gan: Model, **files: bytes) -> Model:
        folder = ganlib.save(gan, tmp_path / gan.name)
        for name, content in files.items():
            (folder / f"{name}.png").write_bytes(content)
        monkeypatch.setattr(models, "own", lambda: {gan.name: folder})
        monkeypatch.setattr(models, "_models", {})
        monkeypatch.setattr(quality, "_growth", functools.cache(quality._growth.__wrapped__))
        return models.get(gan.name)

    return show


@pytest.mark.parametrize("name", ["dcgan", "mlp-gan"])
def test_generate_gives_the_contact_sheet_of_the_librarys_own_samples(client, name):
    sheet, status = client.predict(name, 40, 9, 0.8, [], api_name="/generate")
    assert far_apart(sheet, images.contact_sheet(ganlib.load(name, "cpu").sample(range(40, 49), truncation=0.8))) <= 1
    assert status.startswith(f"**{name}** on ")
    assert ": 9 pictures " in status


def test_generate_has_defaults(client):
    sheet, _ = client.predict(api_name="/generate")
    assert pixels(sheet).shape[0] > 500


def test_captions_are_written_on_demand(client):
    heights = [len(pixels(client.predict("mlp-gan", 1, 4, 1, captions, api_name="/generate")[0]))
               for captions in ([], ["seed"], ["seed", "opinion"])]
    assert heights == sorted(set(heights))


def test_interpolate_gives_a_strip_and_a_gif_that_loops(client):
    strip, gif, status = client.predict("dcgan", 3, 8, 6, "slerp", api_name="/interpolate")
    assert far_apart(strip, images.contact_sheet(ganlib.load("dcgan", "cpu").interpolate(3, 8, steps=6), 6)) <= 1
    with Image.open(gif) as movie:
        assert movie.n_frames == 10
        assert movie.info["loop"] == 0
    assert ": 6 pictures " in status
    assert passport.read(strip) == passport.read(gif)
    assert passport.read(gif)["waypoints"] == ["3", "8"]


def test_walk_gives_a_strip_a_gif_and_an_mp4(client):
    strip, gif, mp4, status = client.predict("cdcgan", "3,8:4,5", 3, "slerp", True, 0.8, api_name="/walk")
    gan = ganlib.load("cdcgan", "cpu")
    labels = gan.labels_of([3, 8, 5])
    labels[1] = 4
    x = gan.walk(gan.latents([3, 8, 5]), labels, 3, closed=True, truncation=0.8)
    assert far_apart(strip, images.contact_sheet(x, 6)) <= 1
    assert passport.read(strip) == passport.read(gif)
    assert passport.read(gif)["waypoints"] == ["3", "8:4", "5"]
    assert mp4 is None or passport.read(mp4) == passport.read(gif)
    assert (mp4 is None) != images.can_write_mp4()
    assert ": 6 pictures " in status


@pytest.mark.parametrize("name", ["cdcgan", "mlp-gan"])
def test_the_scrubbed_frames_are_those_of_the_strip(client, name):
    path = ganlib.load(name, "cpu").interpolate(3, 8, steps=3)
    for x, position in zip(path, (0, 0.5, 1)):
        frame = client.predict(name, 3, 8, "slerp", position, api_name="/frame")
        assert far_apart(frame, points.alone(x, models.get(name))) <= 1


@pytest.mark.parametrize(("name", "title"), [
    ("toy-gaussian", "Wasserstein-1"), ("toy-sine", "sliced Wasserstein"), ("toy-ring", "of 8</b>"),
    ("toy-grid", "of 25</b>")])
def test_toy_gives_charts_and_numbers(client, name, title):
    charts, numbers = client.predict(name, 500, 3, api_name="/toy")
    assert charts.count("<svg") == 3
    assert title in charts
    assert numbers["model"] == name
    drawn = ganlib.load(name, "cpu").draw(500, 3)
    torch.testing.assert_close(torch.tensor(numbers["samples"]), drawn)
    assert 0 < numbers["distance"] < 1
    assert set(numbers["losses"]) == {"discriminator_loss", "generator_loss"}


def test_quality_takes_a_census_of_fresh_samples(client):
    charts, numbers = client.predict("mlp-gan", 5, api_name="/quality")
    assert 'aria-label="A census of 1,000 samples"' in charts
    assert 'aria-label="Measures during the training"' in charts
    assert numbers["verdict"] in charts
    assert sum(numbers["counts"]) == 1_000
    assert numbers["measures"] == ganlib.load("mlp-gan", "cpu").metrics
    assert client.predict("mlp-gan", 6, api_name="/quality")[1]["counts"] != numbers["counts"]


def test_a_round_of_the_game_is_played_through_the_api(client):
    sheet = client.predict("dcgan", 5, api_name="/game")
    assert pixels(sheet).shape[1] > 1_000
    assert passport.read(sheet)["round"] == 5
    found = client.predict("dcgan", 5, ["real"] * 10, api_name="/answers")
    assert found["you"] == sum(row["truth"] == "real" for row in found["pictures"])


def first_latents() -> torch.Tensor:
    """Of the seeds 0 to 31, as they were when the shipped models' trainings began."""
    return torch.stack([torch.randn(100, generator=torch.Generator().manual_seed(seed)) for seed in range(32)])


def test_growth_shows_fixed_latents_from_noise_to_digits(client):
    model = ganlib.load("mlp-gan", "cpu")
    first, started = client.predict("mlp-gan", 0, api_name="/growth")
    last, ended = client.predict("mlp-gan", 40, api_name="/growth")
    steps = f"{model.history[-1]['step']:,}"
    assert (started, ended) == (f"After **0** of {steps} steps.", f"After **{steps}** of {steps} steps.")
    expected = numpy.asarray(images.contact_sheet(model.decode(first_latents()), columns=8).convert("RGB")).astype(int)
    assert numpy.abs(pixels(last).astype(int) - expected).mean() < 6  # kept in 16 shades
    assert numpy.abs(pixels(first).astype(int) - expected).mean() > 20


def test_growth_shows_pictures_that_are_not_square(tmp_path, shown):
    x = torch.linspace(-1, 1, 4)[:, None, None, None].expand(4, 3, 10, 14)
    row = tmp_path / "step-0000000.png"
    images.to_pil(torch.cat(list(x), dim=2)).save(row)
    gan = shown(untrained("mlp-gan", shape=(3, 10, 14)), growth=growth([row]))
    sheet, when = quality.growth(gan.name, 40)
    assert far_apart(sheet, images.contact_sheet(x, columns=2)) <= 1
    assert when == "After **0** of 0 steps."


@pytest.mark.parametrize("shape", [(1, 16, 64), (1, 64, 16)])
def test_pictures_that_are_not_square_are_shown_no_larger_than_square_ones(shape, shown):
    gan = shown(untrained("mlp-gan", shape=shape))
    sheet, _ = generate.generate(gan.name, 7, 25, 1.0, ["seed"])
    assert 0.6 < sheet.width / sheet.height < 1.6
    strip, gif, _ = interpolate.interpolate(gan.name, 7, 8, 20, "slerp")
    assert 5 < strip.width / strip.height < 10
    still = interpolate.frame(gan.name, 7, 8, "slerp", 0.5)
    with Image.open(gif) as movie:
        assert movie.size == still.size == (5 * shape[2] + shape[2], 5 * shape[1] + shape[1])


def test_growth_of_other_pictures_is_refused(tmp_path, shown):
    row = tmp_path / "step-0000000.png"
    Image.new("L", (20, 5)).save(row)
    gan = shown(untrained("mlp-gan"), growth=growth([row]))
    with pytest.raises(ValueError, match="does not show pictures of 28 by 28 pixels"):
        quality.growth(gan.name, 40)


def test_a_model_that_was_not_measured_says_so(shown):
    gan = shown(untrained("mlp-gan"))
    assert "There is no census" in quality.quality(gan.name, 7)[0]
    assert quality.growth(gan.name, 3)[0] is None
    assert quality.nearest(gan.name) is None


@pytest.fixture
def without_discriminator(monkeypatch):
    """Makes an untrained model of an architecture that has no discriminator."""
    monkeypatch.setattr(MLP, "discriminator", lambda self: None)

    def make(name: str, data: str, **recipe) -> Model:
        gan = untrained(name)
        gan.config["recipe"] = {"data": data, **recipe}
        return gan

    return make


def test_a_model_of_pictures_without_a_discriminator_works_on_every_tab(shown, without_discriminator):
    gan = shown(without_discriminator("mlp-gan", "mnist"))
    assert gan.discriminator is None
    sheet, status = generate.generate(gan.name, 7, 4, 1.0, ["seed", "opinion"])
    assert far_apart(sheet, images.contact_sheet(gan.sample(range(7, 11)), captions=["7", "8", "9", "10"])) == 0
    assert "It has no discriminator, so no probability is written." in status
    assert interpolate.interpolate(gan.name, 7, 8, 4, "slerp")[0].width > 400
    assert interpolate.frame(gan.name, 7, 8, "slerp", 0.5).width > 100
    assert "There is no census" in quality.quality(gan.name, 7)[0]


@pytest.mark.parametrize("data", ["gaussian", "sine"])
def test_a_toy_without_a_discriminator_has_no_chart_of_one(shown, without_discriminator, data):
    gan = shown(without_discriminator(f"toy-{data}", data))
    charts, numbers = toy.toy(gan.name, 200, 3)
    assert charts.count("<svg") == 1
    assert "D(x)" not in charts
    assert numbers["losses"] == {"discriminator_loss": None, "generator_loss": None}


@pytest.mark.parametrize(("loss", "said"), [("relativistic", True), ("wasserstein", False)])
def test_ln_2_is_named_beside_losses_that_can_be_ln_2(shown, without_discriminator, loss, said):
    gan = without_discriminator("toy-gaussian", "gaussian", train={"loss": loss})
    gan.history = [{"step": 1, "discriminator_loss": 0.5, "generator_loss": 0.9}]
    shown(gan)
    assert ("ln 2" in toy.toy(gan.name, 200, 3)[0]) == said


@dataclass(frozen=True)
class Square(Points):
    """Somebody else's toy distribution: points of a square."""

    name = "square"
    shape = (2,)
    extent = (-0.5, 1.5, -0.5, 1.5)
    bandwidth = 0.1
    truth = "real ones fill a square"

    def batch(self, n: int, rng: torch.Generator) -> tuple[torch.Tensor, None]:
        return torch.rand(n, 2, generator=rng, device=rng.device), None

    def density(self, x: torch.Tensor, bandwidth: float = 0.0) -> torch.Tensor:
        return ((x >= 0) & (x <= 1)).all(1).float()

    def measure(self, x: torch.Tensor) -> dict[str, float]:
        return {"inside": self.density(x).mean().item()}


def test_a_toy_distribution_from_outside_the_package_is_shown(shown, monkeypatch):
    monkeypatch.setitem(DATASETS, "square", lambda root, train=True, download=True: Square())
    gan = untrained("toy-sine")
    gan.name = "mine"
    gan.config["recipe"] = {"data": "square"}
    shown(gan)
    assert models.toy_models() == ["mine"]
    charts, numbers = toy.toy("mine", 200, 3)
    assert "200 points of each kind; real ones fill a square." in charts
    assert charts.count("<svg") == 2
    assert 0 <= numbers["inside"] <= 1


def test_a_model_with_classes_makes_the_digit_that_is_asked_for(shown):
    gan = shown(untrained("cdcgan", **SMALL))

    def sheet(*arguments) -> Image.Image:
        return generate.generate("cdcgan", *arguments)[0]

    expected = images.contact_sheet(gan.sample(range(3, 7), labels=8))
    assert far_apart(sheet(3, 4, 1.0, [], "8"), expected) == 0
    assert far_apart(sheet(3, 4, 1.0, [], "7"), expected) > 0
    assert far_apart(sheet(0, 4, 1.0, [], "any"), images.contact_sheet(gan.sample(range(4)))) == 0
    rows = gan.sample([3] * 10 + [4] * 10, labels=list(range(10)) * 2)
    assert far_apart(sheet(3, 25, 1.0, ["seed"], "all"),
                     images.contact_sheet(rows, 10, captions=["3"] * 10 + ["4"] * 10)) == 0


def test_few_classes_are_shown_for_several_seeds_in_a_row(shown):
    gan = shown(untrained("cdcgan", **SMALL, num_classes=2))
    sheet, _ = generate.generate("cdcgan", 3, 25, 1.0, [], "all")
    seeds = [seed for seed in range(3, 15) for _ in range(2)]
    assert far_apart(sheet, images.contact_sheet(gan.sample(seeds, labels=[0, 1] * 12), 4)) == 0


def test_rows_of_all_classes_are_refused_where_they_are_more_than_pictures(shown):
    shown(untrained("cdcgan", **SMALL, num_classes=101))
    assert "4 pictures" in generate.generate("cdcgan", 3, 4, 1.0, [], "100")[1]
    with pytest.raises(ValueError, match="the model cdcgan has 101 classes, more than the 100 pictures of a sheet"):
        generate.generate("cdcgan", 3, 4, 1.0, [], "all")


SEED = "Seed must be a whole number from 0 to 9999, not "
COUNT = "How many must be a whole number from 1 to 100, not "
PSI = "Truncation must be a number from 0 to 2, not "
MODEL = "There is no model "
CAPTIONS = "Write under each picture must be seed, opinion, both or neither, not "
REFUSALS = [
    ("/generate", ("dcgan", 7, 101, 1, []), COUNT + "101"),
    ("/generate", ("dcgan", 7, 0, 1, []), COUNT + "0"),
    ("/generate", ("dcgan", 7, 2.5, 1, []), COUNT + "2.5"),
    ("/generate", ("dcgan", -1, 4, 1, []), SEED + "-1"),
    ("/generate", ("dcgan", "7", 4, 1, []), SEED + "'7'"),
    ("/generate", ("dcgan", [7], 4, 1, []), SEED + "[7]"),
    ("/generate", ("dcgan", True, 4, 1, []), SEED + "True"),
    ("/generate", ("dcgan", 7, 4, 2.5, []), PSI + "2.5"),
    ("/generate", ("dcgan", 7, 4, "1", []), PSI + "'1'"),
    ("/generate", ("flow", 7, 4, 1, []), MODEL + "'flow' on this page; it has cdcgan, dcgan, "),
    ("/generate", (["dcgan"], 7, 4, 1, []), MODEL + "['dcgan']"),
    ("/generate", ("../weights/dcgan", 7, 4, 1, []), MODEL + "'../weights/dcgan'"),
    ("/generate", ("<img src=x>", 7, 4, 1, []), MODEL + "'&lt;img src=x&gt;'"),  # which gradio shows as HTML
    ("/generate", ("toy-sine", 7, 4, 1, []), "The model toy-sine makes points, which are no pictures."),
    ("/generate", ("dcgan", 7, 4, 1, ["name"]), CAPTIONS + "'name'"),
    ("/generate", ("dcgan", 7, 4, 1, "seed"), CAPTIONS + "'seed'"),
    ("/generate", ("dcgan", 7, 4, 1, [], "3"), "The model dcgan has no classes: Digit must be any, not '3'"),
    ("/generate", ("cdcgan", 7, 4, 1, [], "10"), "Digit must be any, all or a class of cdcgan, from 0 to 9, not '10'"),
    ("/generate", ("cdcgan", 7, 4, 1, [], 3), "Digit must be any, all or a class of cdcgan, from 0 to 9, not 3"),
    ("/interpolate", ("dcgan", 1, 10_000, 8, "slerp"), "To seed must be a whole number from 0 to 9999, not 10000"),
    ("/interpolate", ("dcgan", 1, 2, 1, "slerp"), "Steps must be a whole number from 2 to 64, not 1"),
    ("/interpolate", ("dcgan", 1, 2, 8, "cubic"), "'cubic'"),
    ("/interpolate", ("dcgan", 1, 2, 8, ["slerp"]), "['slerp']"),
    ("/walk", ("dcgan", "1,2,x", 8, "slerp", False, 1), "A waypoint is a seed such as 3, or 3:7"),
    ("/walk", ("dcgan", "1", 8, "slerp", False, 1), "A walk has 2 to 6 waypoints"),
    ("/walk", ("dcgan", "1,2", 8, "slerp", "no", 1), "Yes or no is written 1 or 0, not 'no'"),
    ("/walk", ("dcgan", "1,2", "8", "slerp", False, 1), "Steps must be a whole number from 2 to 64, not '8'"),
    ("/frame", ("dcgan", 1, 2, "slerp", 1.5), "A position must be a number from 0 to 1, not 1.5"),
    ("/toy", ("toy-sine", 10_100, 1), "Samples must be a whole number from 100 to 10000, not 10100"),
    ("/toy", ("dcgan", 500, 1), "The model dcgan has learned no toy distribution that this page knows"),
    ("/quality", ("toy-sine", 1), "The model toy-sine makes points, which are no pictures."),
    ("/game", ("dcgan", 10**6), "Round must be a whole number from 0 to 999999, not 1000000"),
    ("/answers", ("dcgan", 5, ["real"]), "Guesses must be a list of 10 words, each real or generated, not ['real']"),
    ("/growth", ("dcgan", 41), "Moment of the training must be a whole number from 0 to 40, not 41"),
]


def test_a_bad_value_is_refused_in_one_sentence_by_the_api(client):
    for endpoint, arguments, sentence in REFUSALS:
        with pytest.raises(AppError) as caught:
            client.predict(*arguments, api_name=endpoint)
        assert sentence in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_bad_value_is_refused_by_the_same_sentence_in_python():
    with pytest.raises(ValueError, match="Seed must be a whole number from 0 to 9999, not -1"):
        generate.generate("dcgan", -1, 4, 1.0, [])
    with pytest.raises(WeightsError, match="there is no model 'nowhere' on this page"):
        generate.generate("nowhere", 1, 1, 1.0, [])


def test_models_are_loaded_once():
    assert models.get("dcgan") is models.get("dcgan")
