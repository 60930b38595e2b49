"""python -m train.augment: does a classifier that has few images to learn from gain by generated ones?

For each number n of images a class, and each seed: n images of each class are drawn at random, a GAN with classes is
trained on these images alone, and three classifiers are trained on

- the real images alone;
- the real and the generated images: half of each batch is real, as the generated ones would otherwise outnumber them;
- the generated images alone.

The classifiers differ in their images alone: they have the same initial weights, number of steps and distortions (each
image is rotated, scaled and shifted a little, and the pixels beyond its border are black), and are tested on the same
real images, of which neither the GAN nor a classifier has seen any. A seed chooses the images, the initial weights of
all networks and the noise of their trainings; the latents of the generated images are the same for all seeds. The
images of a smaller n are among those of a larger one.

The GAN is smaller than cdcgan and trained by its recipe, with differentiable augmentation (Zhao et al. 2020,
"Differentiable augmentation for data-efficient GAN training").
"""

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from ganlib import augmentation, console
from ganlib.architectures import ARCHITECTURES, Architecture
from ganlib.checks import check_int, require
from ganlib.classifier import ClassifierConfig, train_classifier
from ganlib.data import Data, ImageData, open_data, same_name
from ganlib.devices import has_bfloat16
from ganlib.evaluation import SEED
from ganlib.images import to_uint8
from ganlib.model import Model
from ganlib.pictures import Reading
from ganlib.recipes import RECIPES
from ganlib.training import TrainConfig

from .command import DEVICE, add_reading, command, parse_size, pick_device, reading_of
from .progress import measuring
from .results import Results, train_in_memory

NETWORKS = replace(ARCHITECTURES["cdcgan"], generator_channels=(128, 64, 32), discriminator_channels=(32, 64, 128))
BLOCK = 1_000  # images that are generated at a time
ARMS = {"real": "real alone", "real_and_generated": "real + generated", "generated": "generated alone"}


@dataclass(frozen=True)
class Plan:
    """How the GAN and the classifiers of one seed are trained.

    Args:
        gan: the training of the GAN.
        classifier: the training of each classifier.
        generated: images a class that the GAN makes.
    """

    gan: TrainConfig
    classifier: ClassifierConfig
    generated: int

    @classmethod
    def of(cls, steps: int, batch_size: int, classifier_steps: int, generated: int, seed: int, device: str) -> "Plan":
        """The plan of a seed. Raises ValueError where a number is out of its range."""
        bfloat16 = has_bfloat16(device)
        gan = replace(RECIPES["cdcgan"].train, steps=steps, batch_size=batch_size, augment=augmentation.DEFAULT,
                      bfloat16=bfloat16, seed=seed)
        return cls(gan, ClassifierConfig(classifier_steps, batch_size, bfloat16=bfloat16, seed=seed), generated)


def check(data: Data, numbers: Sequence[int]) -> ImageData:
    """The data, if a classifier can learn from these numbers of images a class. Raises ValueError otherwise."""
    if not isinstance(data, ImageData) or data.labels is None or (data.num_classes or 0) < 2:
        raise ValueError(f"a classifier learns from images of two or more classes, and {data.name} has none: give the "
                         f"name of another dataset, or a folder with a subfolder for each class")
    least, found = max(numbers), torch.bincount(data.labels, minlength=data.num_classes).min().item()
    if data.held_out() is None:
        least += 1  # to be tested on
    require(least <= found, f"-n {max(numbers)} needs {least:,} images of each class, and a class of {data.name} has "
                            f"only {found:,}")
    return data


def choose(data: ImageData, n: int, largest: int, seed: int) -> tuple[ImageData, ImageData]:
    """n images of each class, the classes in turn, and the images to test on.

    The test is the held-out part of the data or, where there is none, what remains beside the largest n, without copies
    of those n. Raises ValueError if nothing remains.
    """
    rng, labels = torch.Generator().manual_seed(seed), data.labels.cpu()
    classes = [(labels == label).nonzero().flatten() for label in range(data.num_classes)]
    shuffled = [members[torch.randperm(len(members), generator=rng)] for members in classes]
    few = torch.stack([members[:n] for members in shuffled], 1).flatten()
    return data[few], data.held_out() or remaining(data, shuffled, largest)


def remaining(data: ImageData, members: Sequence[Tensor], largest: int) -> ImageData:
    """The images beside the first `largest` members of each class, without copies of those."""
    learnt = {_content(data, i) for chosen in members for i in chosen[:largest].tolist()}
    rest = [i for others in members for i in others[largest:].tolist() if _content(data, i) not in learnt]
    require(len(rest) > 0, f"all images of {data.name} that are left for the test are copies of those to learn from")
    return data[torch.tensor(rest)]


def _content(data: ImageData, i: int) -> bytes:
    return data.images[i].cpu().numpy().tobytes()


def networks(data: ImageData) -> Architecture:
    """The GAN for these data. Raises ValueError if it cannot make images of their size."""
    return NETWORKS.fitted(data.shape, data.num_classes)


def generate(model: Model, count: int, like: ImageData) -> ImageData:
    """`count` generated images of each class, the classes in turn."""
    labels = torch.arange(count * model.num_classes) % model.num_classes
    parts = [to_uint8(model.draw(len(part), SEED + i, part)) for i, part in enumerate(torch.split(labels, BLOCK))]
    return replace(like, images=torch.cat(parts), labels=labels)


def mix(real: ImageData, generated: ImageData) -> ImageData:
    """Both, the fewer ones repeated until there are as many as of the others: half of each batch is real, on average.

    Both have the classes in turn, so that the classes stay equally frequent.
    """
    index = torch.arange(max(len(real), len(generated)))
    parts = [data[index % len(data)] for data in (real, generated)]
    return replace(real, images=torch.cat([part.images for part in parts]),
                   labels=torch.cat([part.labels for part in parts]))


def accuracy(learnt: ImageData, test: ImageData, config: ClassifierConfig, device: str, name: str) -> float:
    """The accuracy on the test images of a classifier that is trained on the others; `name` is for the progress bar."""
    for _, _, classifier in tqdm(train_classifier(learnt.to(device), config), name, config.steps, unit="step",
                                 dynamic_ncols=True, leave=False):
        pass
    return classifier.accuracy(test)


def compare(few: ImageData, test: ImageData, plan: Plan, device: str, name: str) -> dict[str, float]:
    """The test accuracy with each kind of images, by the keys of ARMS; "real" alone if a loss of the GAN is not finite.

    Args:
        few: the images to learn from, the classes in turn.
        test: the images to test on.
        plan: how.
        device: where.
        name: for the progress bars.
    """
    learnt = {"real": few}
    model = train_in_memory(name, networks(few), plan.gan, few, device)
    if model is not None:
        generated = generate(model, plan.generated, few)
        learnt |= {"real_and_generated": mix(few, generated), "generated": generated}
    return {arm: accuracy(images, test, plan.classifier, device, f"{name}, {ARMS[arm]}")
            for arm, images in learnt.items()}


def results(data: ImageData, numbers: Sequence[int], plans: Sequence[Plan], device: str,
            path: Path | None) -> Iterator[tuple[int, dict[str, float]]]:
    """Each n with the accuracies of one seed, all n of a seed before the next. Those in the file `path` are kept."""
    for plan in plans:
        for n in numbers:
            few, test = choose(data, n, max(numbers), plan.gan.seed)
            kept = Results(path, few, None, device, test=test.fingerprint(), classifier=asdict(plan.classifier),
                           generated=plan.generated)
            found = kept.find(networks(few), plan.gan)
            if found is None:
                name = f"{n} images a class"
                found = compare(few, test, plan, device, name)
                kept.add(f"{name}, seed {plan.gan.seed}", networks(few), plan.gan, found)
            yield n, found


def spread(values: Sequence[float]) -> str:
    """The mean of some shares in percent and, of two or more, their range."""
    if not values:
        return ""
    low, mean, high = (f"{100 * value:.1f}" for value in (min(values), statistics.mean(values), max(values)))
    return f"{mean}" if len(values) == 1 else f"{mean} ({low} to {high})"


def table(found: dict[int, list[dict[str, float]]], plan: Plan, data: ImageData) -> list[str]:
    """A Markdown table: a row for each n, means over the seeds that have all arms, their range, and the plan."""
    lines = [f"| real images a class | {', % | '.join(ARMS.values())}, % | gain by the generated, points | seeds |",
             "|---|---|---|---|---|---|"]
    most = 0
    for n, runs in found.items():
        whole = [run for run in runs if run.keys() >= ARMS.keys()]  # the others would make the columns differ in seeds
        most = max(most, len(whole))
        cells = [spread([run[arm] for run in whole]) for arm in ARMS]
        gain = spread([run["real_and_generated"] - run["real"] for run in whole])
        failed = len(runs) - len(whole)
        note = f"; {failed} left out, as the losses of the GAN were not finite" if failed else ""
        lines.append(f"| {n} | {' | '.join(cells)} | {gain} | {len(whole)}{note} |")
    gan, classifier = plan.gan, plan.classifier
    held_out = ("its test images" if data.held_out() else
                "the images that were not chosen for the largest number, without copies of those")
    pair = " With two seeds, the brackets hold both values and show no significance." if most == 2 else ""
    return [*lines, "", f"Accuracy on {held_out}, of classifiers that learn from {data.name}: means over the seeds, in "
            f"brackets their range.{pair} A seed chooses the images and all initial weights. The generated images, "
            f"{plan.generated:,} a class, are of a GAN that was trained on the same real images alone, for "
            f"{gan.steps:,} steps of {gan.batch_size}, with differentiable augmentation ({', '.join(gan.augment)}). "
            f"Each classifier was trained for {classifier.steps:,} steps of {classifier.batch_size}, on images that "
            f"are rotated, scaled and shifted a little, with black pixels beyond their border; with real and generated "
            f"images, half of each batch is real on average."]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog=console.spelled("augment"),
        description="Train classifiers on few real images, with and without images of a GAN that was trained on these "
                    "few alone, and print a table of their test accuracies.")
    p.add_argument("-n", "--numbers", type=int, nargs="+", default=[10, 50, 200], metavar="N",
                   help="real images a class, one or more numbers (default: 10 50 200)")
    p.add_argument("--data", metavar="WHERE",
                   help=f"a dataset or a folder of images with classes, as for {console.spelled()}; of a folder, the "
                        f"images that are not chosen for the largest N are the test (default: mnist)")
    p.add_argument("--size", metavar="PIXELS",
                   help="width and height that the pictures of a folder are resized to, such as 32, or 48x64 where "
                        "they differ (default: 28)")
    p.add_argument("--channels", type=int, choices=(1, 3),
                   help="1 converts the pictures of a folder to grey, 3 to colour (default: 1)")
    add_reading(p)
    p.add_argument("--steps", type=int, default=2_000, help="of each GAN (default: 2000)")
    p.add_argument("--classifier-steps", type=int, default=600, metavar="STEPS",
                   help="of each classifier (default: 600)")
    p.add_argument("--batch-size", type=int, default=64,
                   help="real images a step of a GAN, and images a step of a classifier (default: 64)")
    p.add_argument("--generated", type=int, default=1_000, metavar="N", help="generated images a class (default: 1000)")
    p.add_argument("--seeds", type=int, default=2, metavar="N", help="the seeds 0 to N - 1 (default: 2)")
    p.add_argument("--device", **DEVICE)
    p.add_argument("--out", type=Path, metavar="FILE",
                   help="a JSON file to keep all accuracies in; runs that are in it are not repeated (default: none)")
    return p


def opened(arguments: argparse.Namespace) -> Data:
    """The data of the arguments. Raises ValueError for options that are for a folder alone, given with a dataset."""
    reading, size = reading_of(arguments), (28, 28) if arguments.size is None else parse_size(arguments.size)
    shape = (arguments.channels or 1, *size)
    with measuring("opening the data", delay=0.5) as progress:
        data = open_data("mnist", arguments.data, shape=shape, reading=reading, progress=progress)
    if not data.folder:
        chosen = arguments.size is not None or arguments.channels is not None
        require(not chosen or shape == tuple(data.shape), f"the samples of {data.name} are of shape {tuple(data.shape)}"
                                                          f": size and channels can be chosen only for a folder of "
                                                          f"images")
        require(reading == Reading(), f"background and skip-broken are only for a folder of pictures, and not for "
                                      f"{data.name}: leave them out")
    return data


def work(arguments: argparse.Namespace) -> None:
    """Does the runs that --out does not hold yet; the table is printed even if a later run fails."""
    for option, low in (("seeds", 1), ("generated", 1)):
        check_int(getattr(arguments, option), low, 10**6, f"--{option}")
    numbers = sorted({check_int(n, 1, 10**6, "-n") for n in arguments.numbers})
    device = pick_device(arguments.device)
    plans = [Plan.of(arguments.steps, arguments.batch_size, arguments.classifier_steps, arguments.generated, seed,
                     device) for seed in range(arguments.seeds)]
    if note := same_name(arguments.data):
        print(note, file=sys.stderr)
    data = check(opened(arguments), numbers)
    if data.found:
        print(*data.found, file=sys.stderr)
    networks(data)
    found: dict[int, list[dict[str, float]]] = {}
    try:
        for n, accuracies in results(data, numbers, plans, device, arguments.out):
            found.setdefault(n, []).append(accuracies)
    finally:
        if found:
            print("\n".join(table(found, plans[0], data)))


def stopped(arguments: argparse.Namespace) -> str:
    """The message after Ctrl-C."""
    if arguments.out is None:
        return "stopped; no accuracy is kept, because there is no --out"
    return "stopped; the same command goes on after the last run that is in --out"


main = command(parser, work, stopped)

if __name__ == "__main__":
    sys.exit(main())
