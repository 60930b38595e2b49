"""python -m train digit-classifier: train the network whose features measure generated digits."""

import argparse
import json
import math
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from ganlib import checkpoint, images
from ganlib.card import classifier_card
from ganlib.checks import require
from ganlib.classifier import NAME, SHAPE, DigitClassifier, build_classifier, train_classifier
from ganlib.data import DATASETS, ImageData, NotDownloaded, open_data, scale
from ganlib.networks import count_parameters
from ganlib.recipes import DIGIT_CLASSIFIER
from ganlib.report import to_png, write_card
from ganlib.runs import check_free
from ganlib.training import NonFiniteLoss

from .command import configured, pick_device

ROWS = 100  # of the history
MISTAKES = 64  # shown in the picture, at most
FOREIGN = ("size", "channels", "background", "skip_broken", "augment", "name", "checkpoint_every", "resume",
           "init", "keep", "push", "track", "on_hf", "timeout")  # options of GANs only


def run(arguments: argparse.Namespace) -> None:
    """Trains the classifier as the arguments say. Raises ValueError if one is wrong."""
    for option in FOREIGN:
        require(getattr(arguments, option) in (None, False), f"{NAME} trains in minutes, on digits of 28×28 pixels, "
                f"for this library alone: leave --{option.replace('_', '-')} out")
    device, out = pick_device(arguments.device), arguments.out or Path("runs") / NAME
    check_free(out, arguments.overwrite or arguments.dry_run)
    config = configured(DIGIT_CLASSIFIER, arguments, device)
    try:
        data = open_data("mnist", arguments.data, download=not arguments.dry_run)
        words = data.description()
        require(data.digits and data.shape == SHAPE,
                f"{NAME} learns digits of shape {SHAPE}, as in mnist, emnist-digits and qmnist, not {data.name}")
    except NotDownloaded:
        words = f"{arguments.data if arguments.data in DATASETS else 'mnist'}, to be downloaded"
    if arguments.dry_run:
        print(json.dumps({"name": NAME, "out": str(out), "data": words, "device": device, "train": asdict(config),
                          "sizes": {"parameters": count_parameters(build_classifier()),
                                    "samples_seen": config.steps * config.batch_size}}, indent=2))
        return
    print(f"Training {NAME} on {words}, on {device}.")
    history, losses, every = [], [], max(1, config.steps // ROWS)
    with tqdm(total=config.steps * config.batch_size, desc=NAME, unit="img", unit_scale=True) as bar:
        for step, loss, network in train_classifier(data.to(device), config):
            bar.update(config.batch_size)
            losses.append(loss)
            if step % every == 0 or step == config.steps:
                history.append({"step": step, "loss": torch.stack(losses).mean().item()})
                losses.clear()
                if not math.isfinite(history[-1]["loss"]):
                    raise NonFiniteLoss(f"the loss is no longer finite at step {step}; nothing was written")
                bar.set_postfix_str(f"loss {history[-1]['loss']:.3f}", False)
    recipe = {"name": NAME, "data": data.name, "device": device, "train": asdict(config)}
    checkpoint.save_classifier(network, out, recipe, history)
    metrics, picture = report(network, data.held_out())
    checkpoint.write_atomically(out / checkpoint.METRICS, checkpoint.to_json(metrics))
    said = write_card(out, classifier_card(recipe, metrics))
    checkpoint.write_atomically(out / checkpoint.SAMPLES, picture)
    print(f"It reads {metrics['accuracy']:.2%} of {metrics['images']:,} held-out images correctly. It is in {out}.")
    if said:
        print(said)


def report(network: DigitClassifier, test: ImageData) -> tuple[dict, bytes]:
    """The accuracy on held-out images, and a PNG of the images that are read wrongly, with both digits."""
    read, truth = network.examine(scale(test.images))[1].argmax(1), test.labels.cpu()
    wrong = (read != truth).nonzero().flatten()
    metrics = {"data": test.name, "images": len(truth), "parameters": count_parameters(network),
               "accuracy": 1 - len(wrong) / len(truth)}
    shown = (wrong if len(wrong) else torch.arange(len(truth)))[:MISTAKES]
    captions = [f"{read[i]}, not {truth[i]}" if len(wrong) else str(read[i].item()) for i in shown]
    sheet = images.contact_sheet(scale(test.images[shown.to(test.images.device)]), scale=3, captions=captions)
    return metrics, to_png(sheet)
