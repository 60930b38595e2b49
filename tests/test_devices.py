import pytest
import torch

import ganlib
from ganlib import checkpoint
from ganlib.architectures import ARCHITECTURES
from ganlib.data import ImageData, StackedDigits, open_data
from ganlib.devices import best_device, check_device
from ganlib.runs import Run
from ganlib.training import State, TrainConfig
from tests.conftest import untrained

CONFIG = TrainConfig(steps=1, batch_size=2)


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def cpu_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_a_device_that_is_there_is_accepted(two_gpus):
    for device in ("cpu", "cuda", "cuda:1", torch.device("cuda", 0)):
        assert check_device(device) == torch.device(device)
    assert check_device("cpu:0") == torch.device("cpu")
    assert check_device(None) == torch.device(best_device()) == torch.device("cuda")


@pytest.mark.parametrize("device", ["cuda:2", "cuda:99", "gpu", "CPU", "cpu:1", "cpu:", "", "meta", "hpu",
                                    "privateuseone", 7, True])
def test_another_is_refused_with_what_there_is(two_gpus, device):
    sentence = rf"^the device must be what this machine has \(cpu, cuda(, mps)?\), not {device!r}$"
    with pytest.raises(ValueError, match=sentence):
        check_device(device)


def test_a_kind_that_the_package_does_not_know_is_not_there(cpu_alone, monkeypatch):
    monkeypatch.setattr(torch, "zeros", lambda *size, device: torch.ones(*size))
    with pytest.raises(ValueError, match=r"^the device must be what this machine has \(cpu\), not 'xpu'$"):
        check_device("xpu")


PLACES = {
    "load": lambda device: ganlib.load("toy-sine", device),
    "a folder": lambda device: checkpoint.load(checkpoint.shipped()["toy-sine"], device),
    "the Hub, before a download": lambda device: ganlib.load("user/repo", device),
    "the classifier": lambda device: checkpoint.load_classifier(device=device),
    "a model": lambda device: untrained("toy-sine").to(device),
    "a run": lambda device: Run("toy-sine", device=device),
    "a state": lambda device: State.fresh(ARCHITECTURES["toy-sine"], CONFIG, device),
    "a training": lambda device: next(ganlib.train(ARCHITECTURES["toy-sine"], open_data("sine"), CONFIG, device)),
    "images": lambda device: ImageData("x", torch.zeros(1, 1, 2, 2, dtype=torch.uint8)).to(device),
    "stacks": lambda device: StackedDigits(ImageData("x", torch.zeros(1, 1, 2, 2, dtype=torch.uint8))).to(device),
}


@pytest.mark.parametrize("place", PLACES)
def test_everywhere_a_missing_device_is_one_sentence(cpu_alone, place):
    for device in ("cuda", "gpu"):
        with pytest.raises(ValueError, match=rf"^the device must be what this machine has \(cpu\), not '{device}'$"):
            PLACES[place](device)


def test_none_is_the_best_device(cpu_alone):
    assert ganlib.load("toy-sine").device == untrained("toy-sine").to(None).device == torch.device("cpu")
    assert Run("toy-sine").device == "cpu"
