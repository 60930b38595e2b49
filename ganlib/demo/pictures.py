"""Pictures as PNG files in gradio's cache. Each is encoded once; gradio would encode it again for each answer."""

from pathlib import Path
from typing import Any

from gradio.processing_utils import hash_bytes
from gradio.utils import get_upload_folder
from PIL import Image

from ganlib import images
from ganlib.files import replacing


def file(picture: Image.Image, name: str = "image") -> str:
    """The path of a picture's PNG file, `name`.png, in gradio's cache."""
    data = images.png_of(picture) or images.to_png(picture)
    path = Path(get_upload_folder()).resolve() / hash_bytes(data) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:  # another visitor may read the same file at this moment
        partial.write_bytes(data)
    return str(path)


def as_files(found: Any) -> Any:
    """What a handler gave, one value or several, with files in place of pictures."""
    if isinstance(found, tuple):
        return tuple(map(as_files, found))
    return file(found) if isinstance(found, Image.Image) else found
