"""The API of the course's figures that the browser computes by itself."""

import math

import pytest
import torch
from gradio import Error
from gradio_client import Client
from gradio_client.exceptions import AppError

from ganlib import lessons
from ganlib.checkpoint import WeightsError
from ganlib.demo import controls, curves

CENTRES = [-1.2, 0.6], [1.2, -0.5]


@pytest.fixture(scope="module")
def client(address):
    found = Client(address, verbose=False)
    yield found
    found.close()


def test_both_classifiers_are_trained_through_the_api(client):
    found = client.predict(*CENTRES, points=20, outliers=True, naive=True, seed=3, steps=50, new=5,
                           api_name="/classifiers")
    rows = torch.tensor(found["points"], dtype=torch.float64)
    x, y = rows[:, :2], rows[:, 2].long()
    assert y.bincount().tolist() == [20, 24]
    trained, closed = lessons.logistic_fit(x, y, 50), lessons.GaussianClasses.fit(x, y, naive=True).linear()
    for name, model in (("logistic", trained), ("gaussian", closed)):
        assert found[name]["weight"] == pytest.approx(model.weight.tolist())
        assert found[name]["bias"] == pytest.approx(model.bias.item())
        assert found[name]["accuracy"] == pytest.approx(model.accuracy(x, y))
    assert found["agreement"] == pytest.approx(lessons.agreement(trained, closed, curves.EXTENT))
    assert len(found["new"]) == 5


def test_a_seed_gives_the_same_points_and_another_one_gives_others():
    first, again, other = (curves.classifiers(*CENTRES, seed=seed, steps=0, new=3) for seed in (1, 1, 2))
    assert (first["points"], first["new"]) == (again["points"], again["new"])
    assert first["points"] != other["points"]
    assert curves.classifiers(*CENTRES, steps=0, new=0)["new"] == []


def test_the_best_discriminator_through_the_api(client):
    found = client.predict(1.5, 0.7, api_name="/best_discriminator")
    assert found["loss"] + found["divergence"] == pytest.approx(math.log(2), abs=1e-5)
    assert found["constant_loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert (found["x"][0], found["x"][-1]) == pytest.approx((-6, 6))
    ratio = [p / (p + q) for p, q in zip(found["p"], found["q"], strict=True)]
    assert found["best"] == pytest.approx(ratio)


def test_the_generators_losses_through_the_api(client):
    found = client.predict([-4, 0], api_name="/generator_losses")
    d = 1 / (1 + math.exp(4))
    assert found["saturating"]["gradient"] == pytest.approx([-d, -0.5])
    assert found["non-saturating"]["gradient"] == pytest.approx([d - 1, -0.5])
    assert found["saturating"]["loss"] == pytest.approx([math.log(1 - d), -math.log(2)])
    assert found["non-saturating"]["loss"] == pytest.approx([-math.log(d), math.log(2)])


@pytest.mark.parametrize(("endpoint", "arguments", "sentence"), [
    ("/classifiers", ([0, 0, 0], [1, 1]), "First must be two numbers."),
    ("/classifiers", ([0, 0], [1, 9]), "A coordinate of second must be a number from -4 to 4, not 9."),
    ("/classifiers", ([0, 0], [1, 1], 0.6, 0.5, 60, "false"), "Outliers must be true or false, not 'false'."),
    ("/course", (11,), "Step must be a whole number from 1 to 10, not 11."),
    ("/cross_entropy", (0.5, 0.999), "D of the generated picture must be a number from 0.02 to 0.98, not 0.999."),
    ("/best_discriminator", (5, 1), "Mean must be a number from -4 to 4, not 5."),
    ("/generator_losses", ([],), "Logits must be a list of 1 to 1,000 numbers."),
])
def test_a_bad_value_is_refused_in_one_sentence(client, endpoint, arguments, sentence):
    with pytest.raises(AppError) as caught:
        client.predict(*arguments, api_name=endpoint)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(("name", "value", "sentence"), [
    ("naive", "no", "naive must be true or false, not 'no'"), ("outliers", 1, "outliers must be true or false, not 1"),
    ("new", "", "new must be a whole number from 0 to 200, not ''"),
    ("new", None, "new must be a whole number from 0 to 200, not None")])
def test_a_value_of_another_kind_is_refused(name, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        curves.classifiers(*CENTRES, steps=0, **{name: value})


@pytest.mark.parametrize("error", [ValueError, WeightsError])
def test_an_error_reaches_the_caller_as_a_sentence(error):
    def broken() -> None:
        """A function of the API."""
        raise error("the file is <broken>")

    refused = controls.refusing(broken)
    assert refused.__doc__ == broken.__doc__
    with pytest.raises(Error) as caught:
        refused()
    assert caught.value.message == "The file is &lt;broken&gt;."
