"""python -m tests.benchmarks.echo PICTURE: the smallest app of Gradio, whose /generate answers with that picture.

With --torch it imports torch first, as every app that shows a model does.
"""

import sys

import gradio as gr
from PIL import Image

if "--torch" in sys.argv:
    import torch  # noqa: F401


def main(path: str) -> None:
    picture = Image.open(path).convert("RGB")

    def generate(model: str, seed: float, count: float) -> tuple[Image.Image, str]:
        return picture, f"{model} made {count} pictures from seed {seed}."

    inputs = [gr.Textbox(label="Model"), gr.Number(label="Seed"), gr.Number(label="How many")]
    app = gr.Interface(generate, inputs, [gr.Image(format="png"), gr.Markdown()], api_name="generate",
                       flagging_mode="never", analytics_enabled=False)
    app.queue(max_size=None).launch()


if __name__ == "__main__":
    main(sys.argv[1])
