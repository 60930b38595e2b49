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
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_400",
    color_accent="*primary_700",
    link_text_color="*primary_700",
    link_text_color_dark="*primary_400",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_400",
    block_info_text_size="12.5px",
    block_background_fill="#ffffff",
    block_background_fill_dark="#151824",
    block_border_width="1px",
    block_border_color="#dfe4ee",
    block_border_color_dark="#2a3146",
    block_label_background_fill="transparent",
    block_label_background_fill_dark="transparent",
    block_label_border_width="0px",
    block_label_text_color="*neutral_600",
    block_label_text_color_dark="*neutral_400",
    block_title_text_color="*body_text_color",
    block_title_text_color_dark="*body_text_color",
    block_title_text_size="13px",
    block_title_text_weight="600",
    input_background_fill="#f3f5fa",
    input_background_fill_dark="#1c2130",
    input_placeholder_color="*neutral_600",
    input_placeholder_color_dark="*neutral_400",
    slider_color="*color_accent",
    checkbox_background_color_selected="#c2410c",
    checkbox_background_color_selected_dark="#c2410c",
    checkbox_border_color="*neutral_500",
    checkbox_border_color_dark="*neutral_400",
    button_border_width="1px",
    button_large_padding="6px 12px",
    button_large_radius="9px",
    button_large_text_size="14px",
    button_large_text_weight="500",
    button_small_padding="6px 12px",
    button_small_radius="9px",
    button_small_text_size="14px",
    button_small_text_weight="500",
    button_secondary_text_color="*body_text_color",
    button_secondary_text_color_dark="*body_text_color",
    button_secondary_border_color="*block_border_color",
    button_secondary_border_color_dark="*block_border_color",
    button_secondary_background_fill="#eef1f8",
    button_secondary_background_fill_dark="#232a3d",
)
