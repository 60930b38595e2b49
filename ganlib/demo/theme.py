"""Colours and fonts of the page, light and dark. System fonts, because the page must work without a network."""

from pathlib import Path

import gradio as gr

SANS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")

DICE = Path(__file__).with_name("dice.svg")

THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.orange,
    secondary_hue=gr.themes.colors.blue,
    neutral_hue=gr.themes.colors.slate,
    radius_size=gr.themes.sizes.radius_lg,
    font=SANS,
    font_mono=MONO,
).set(
    body_background_fill="#f6f7fb",
    body_background_fill_dark="#0d0f16",
    body_text_color_subdued="*neutral_500",
    block_info_text_color="*neutral_500",
    block_background_fill="#ffffff",
    block_background_fill_dark="#151824",
    block_border_width="1px",
    block_border_color="#e3e7f0",
    block_border_color_dark="#242a3b",
    block_label_background_fill="transparent",
    block_label_background_fill_dark="transparent",
    block_label_border_width="0px",
    block_label_text_color="*neutral_500",
    block_label_text_color_dark="*neutral_400",
    block_title_text_weight="600",
    input_background_fill="#f3f5fa",
    input_background_fill_dark="#1c2130",
    slider_color="*primary_500",
    button_secondary_background_fill="#eef1f8",
    button_secondary_background_fill_dark="#232a3d",
)
