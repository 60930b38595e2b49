"""The model card, a weights folder's README.md, written from the folder's own facts. Knows nothing of models."""

LICENSE = "mit"
DATASET_IDS = {"mnist": "ylecun/mnist", "fashion-mnist": "zalando-datasets/fashion_mnist"}  # by their Hub names


def model_card(config: dict, metrics: dict, history: list[dict]) -> str:
    """Markdown with the Hub's front matter: what it is, how to load it, how it was trained, how good it is, limits."""
    recipe, architecture = {"data": "unknown data", "train": {}, **config["recipe"]}, config["architecture"]
    images = len(config["shape"]) == 3
    front = ["---", f"license: {LICENSE}", "library_name: ganlib", "tags: [gan, ganlib, "
             f"{architecture['name']}]"]
    if images:
        front.append("pipeline_tag: unconditional-image-generation")
    if recipe["data"] in DATASET_IDS:
        front.append(f"datasets: [{DATASET_IDS[recipe['data']]}]")
    title = f"# {config['name']}"
    kind = "images" if images else f"{config['shape'][0]}-dimensional points"
    about = (f"A small GAN ({architecture['name']}) that makes {kind} of shape {tuple(config['shape'])} from "
             f"{config['latent_dim']} random numbers, trained on {recipe['data']} with ganlib.")
    return "\n".join([
        *front, "---", "", title, "", about, "", "![samples](samples.png)", "",
        "## Use", "", "```python", "import ganlib", "",
        'model = ganlib.load("path/to/this/folder")',
        "x = model.sample(seeds=range(16))", "```", "",
        "A seed names a sample: it is the same alone or among others, on CPU or GPU.", "",
        "## Training", "", *_table({**recipe["train"], "data": recipe["data"], "device": recipe.get("device", "")}), "",
        "Generator and discriminator:", "", *_table({k: v for k, v in architecture.items() if k != "name"}), "",
        "## How good it is", "", *(_table(metrics) if metrics else ["Not measured yet."]), "",
        f"Over {history[-1]['step']:,} steps the losses are in `history.json`; a GAN's losses do not say how good its "
        "samples are." if history else "", "",
        "## Limits", "",
        "It was made to be looked at and learnt from. It knows nothing but its training data, repeats that data's "
        "biases, and some of its samples are wrong.", "",
    ])


def _table(values: dict) -> list[str]:
    rows = [f"| {key.replace('_', ' ')} | {_text(value)} |" for key, value in values.items()]
    return ["| | |", "|---|---|", *rows]


def _text(value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value)
