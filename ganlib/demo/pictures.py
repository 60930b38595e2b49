"""Pictures as PNG files in gradio's cache. Each is encoded once; gradio would encode it again for each answer."""

from typing import Any

from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from ganlib import images


def file(picture: Image.Image, name: str = "image") -> str:
    """The path of a picture's PNG file, `name`.png, in gradio's cache."""
    data = images.png_of(picture) or images.to_png(picture)
    return str(save_bytes_to_cache(data, f"{name}.png", get_upload_folder()))


def as_files(found: Any) -> Any:
    """What a handler gave, one value or several, with files in place of pictures."""
    if isinstance(found, tuple):
        return tuple(map(as_files, found))
    return file(found) if isinstance(found, Image.Image) else found
