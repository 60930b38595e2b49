"""Ink and photos become digits as MNIST has them."""

import io
import time

import numpy
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

from ganlib import drawing, images
from tests.conftest import needs_mnist

THREE = [(198, 180), (270, 150), (336, 192), (324, 258), (252, 288), (336, 336), (348, 420), (270, 474), (192, 438)]


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(10 * torch.log10(4 / ((a - b)**2).mean().clamp_min(1e-9)))


def centre_of_mass(x: torch.Tensor) -> list[float]:
    ink, places = (x[0] + 1) / 2, torch.arange(28.0)
    return [float((ink.sum(axis) * places).sum() / ink.sum()) for axis in (1, 0)]


@needs_mnist
@pytest.mark.parametrize("factor", [1, 5])
def test_a_digit_of_mnist_comes_back_wherever_and_however_large_it_stands(digits, factor):
    apart = []
    for pixels in digits.images[:40]:
        field = torch.zeros(28 * factor + 37, 28 * factor + 12)
        field[30:30 + 28 * factor, 3:3 + 28 * factor] = torch.kron(pixels[0], torch.ones(factor, factor))
        apart.append(psnr(drawing.normalise(field / 255), pixels / 127.5 - 1))
    assert min(apart) > 38
    assert numpy.median(apart) > 60


def test_ink_fills_a_box_of_20_pixels_and_its_mass_is_in_the_middle():
    ink = torch.zeros(120, 200)
    ink[20:110, 150:165] = 1
    ink[95:110, 120:165] = 1
    x = drawing.normalise(ink)
    rows, columns = (x[0] > -0.9).any(1), (x[0] > -0.9).any(0)
    assert (x.shape, x.dtype, int(rows.sum()), int(columns.sum())) == ((1, 28, 28), torch.float32, 20, 10)
    assert centre_of_mass(x) == pytest.approx([14, 14], abs=0.51)


@pytest.mark.parametrize("place", [(0, 0), (27, 27), (13, 5)])
def test_a_single_pixel_becomes_a_square_of_20_pixels(place):
    ink = torch.zeros(28, 28)
    ink[place] = 1
    assert (drawing.normalise(ink) == 1).sum() == 400


def test_a_line_keeps_its_direction_and_stays_inside():
    ink = torch.zeros(50, 400)
    ink[25, 10:390] = 1
    x = drawing.normalise(ink)
    assert (x[0] > -1).sum(1).max() == 20
    assert (x[0] > -1).any(1).sum() == 1


@pytest.mark.parametrize(("ink", "sentence"), [
    (torch.zeros(28, 28), "the drawing is empty"),
    (torch.zeros(1, 28, 28), r"ink must be a tensor \(H, W\)"),
    (torch.full((9, 9), 2.0), "from 0 to 1"),
    (torch.full((9, 9), float("nan")), "from 0 to 1"),
    ([[1.0]], r"ink must be a tensor \(H, W\)")])
def test_what_is_no_ink_is_refused(ink, sentence):
    with pytest.raises(ValueError, match=sentence):
        drawing.normalise(ink)


@pytest.mark.parametrize("x", [None, [0.0] * 784, torch.zeros(784), torch.zeros(28, 28),
                               torch.zeros(1, 28, 28, dtype=torch.uint8), torch.full((1, 28, 28), torch.nan)])
def test_what_is_no_drawing_has_no_text(x):
    with pytest.raises(ValueError, match="a drawing (is a tensor|has finite numbers)"):
        drawing.to_text(x)


def test_a_drawing_comes_back_from_its_text_in_16_levels():
    x = torch.linspace(-1, 1, 784).reshape(1, 28, 28)
    text = drawing.to_text(x)
    assert len(text) == 523
    assert (drawing.from_text(text) - x).abs().max() <= 1 / 15 + 1e-6
    assert drawing.to_text(drawing.from_text(text)) == text
    assert torch.equal(drawing.rounded(x), drawing.from_text(text))


@pytest.mark.parametrize("text", ["", "A" * 522, "A" * 524, "+" * 523, None, 7, "Ä" * 523])
def test_another_text_is_no_drawing(text):
    with pytest.raises(ValueError, match="the text of a drawing has 523 letters"):
        drawing.from_text(text)


def scene(pen: int = 14, dark: bool = True, shadow: float = 1, noise: float = 5, specks: int = 0) -> Image.Image:
    """A photo of a three, on paper that is darker to the left, with a shadow over its upper half."""
    mask = Image.new("L", (540, 600))
    ImageDraw.Draw(mask).line(THREE, 255, pen, joint="curve")
    ink = numpy.asarray(mask.filter(ImageFilter.GaussianBlur(1))) / 255
    rng = numpy.random.default_rng(0)
    paper = numpy.tile(numpy.linspace(130, 220, 540), (600, 1))
    grey = paper * (1 - 0.85 * ink) if dark else paper / 4 + (230 - paper / 4) * ink
    grey[:300] *= shadow
    for top, left in rng.integers(0, 530, (specks, 2)):
        grey[top:top + 4, left:left + 4] = 30
    return Image.fromarray((grey + rng.normal(0, noise, grey.shape)).clip(0, 255).astype(numpy.uint8))


@pytest.fixture(scope="module")
def expected() -> torch.Tensor:
    return drawing.from_photo(scene(noise=0)).drawing


@pytest.mark.parametrize("changes", [{}, {"dark": False}, {"shadow": 0.5}, {"specks": 40}, {"pen": 5}, {"noise": 15}],
                         ids=str)
def test_the_digit_of_a_photo_is_found_whatever_the_light_and_the_pen(changes, expected):
    photo = drawing.from_photo(scene(**changes))
    assert photo.dark_ink == changes.get("dark", True)
    assert psnr(photo.drawing, expected) > 15
    assert [words.split(":")[0] for words, _ in photo.steps] == ["Grey", "Ink", "Cut out", "Scaled and centred"]
    # nothing but lines on black is left
    assert 0.05 < numpy.asarray(photo.digit).mean() / 255 < 0.4
    assert photo.grey.size == (461, 512)


def test_a_thin_pen_is_as_thick_as_mnists():
    thin, thick = (float((drawing.from_photo(scene(pen)).drawing + 1).mean() / 2) for pen in (4, 42))
    assert thin == pytest.approx(0.13, abs=0.03)  # MNIST's mean is 0.131
    assert thick > thin


def test_a_photo_is_turned_upright_and_transparent_parts_are_paper(expected):
    picture = scene(noise=0)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    file = io.BytesIO()
    picture.rotate(90, expand=True).save(file, "JPEG", exif=exif, quality=95)
    assert psnr(drawing.read_photo(file.getvalue()).drawing, expected) > 25
    alpha = Image.new("RGBA", (540, 600), (0, 0, 0, 0))
    ImageDraw.Draw(alpha).line(THREE, (0, 0, 0, 255), 14, joint="curve")
    assert psnr(drawing.from_photo(alpha).drawing, expected) > 15


@pytest.mark.parametrize("picture", [
    Image.new("L", (300, 200), 255), Image.new("L", (1, 1)), Image.new("RGBA", (40, 3)), Image.linear_gradient("L"),
    Image.fromarray(numpy.random.default_rng(0).normal(200, 8, (300, 300)).clip(0, 255).astype(numpy.uint8))])
def test_a_picture_without_a_digit_is_refused_in_a_sentence(picture):
    with pytest.raises(ValueError, match="^no digit was found in the picture: "):
        drawing.from_photo(picture)


def test_pictures_of_every_mode_of_pillow_are_read_or_refused_in_a_sentence(expected):
    picture = scene(noise=0)
    for mode in ("I", "F", "RGB", "CMYK", "YCbCr", "LA", "RGBA"):
        assert psnr(drawing.from_photo(picture.convert(mode)).drawing, expected) > 25, mode
    deep = Image.fromarray(numpy.asarray(picture).astype(numpy.uint16) * 257)
    assert psnr(drawing.from_photo(deep).drawing, expected) > 25
    with pytest.raises(ValueError, match="a picture of mode LAB has to be converted to RGB first"):
        drawing.from_photo(Image.new("LAB", (40, 30)))


def test_half_transparent_ink_is_mixed_with_white_paper():
    grey = drawing._decoded(Image.new("RGBA", (4, 4), (100, 100, 100, 102)))
    assert set(numpy.asarray(grey).ravel()) == {193}  # 0.4 of 100 and 0.6 of 255


def test_a_long_winding_line_is_one_part():
    mask = numpy.zeros((128, 128), bool)
    mask[::2] = True
    mask[1::4, -1] = mask[3::4, 0] = True
    mask[60] = False  # in two
    start = time.process_time()
    parts = drawing._parts(mask)
    assert time.process_time() - start < 1  # a pixel of the path at a time, it takes 5 s
    assert [*numpy.unique(parts)] == [0, 1, 2]
    assert (parts[:60][mask[:60]] == 1).all()
    assert (parts[61:][mask[61:]] == 2).all()


def test_a_jpeg_with_more_scans_than_any_camera_makes_is_refused(expected):
    """A progressive JPEG may repeat a scan of a few bytes, and each costs the time of all its pixels."""
    file = io.BytesIO()
    scene(noise=0).save(file, "JPEG", progressive=True, quality=95)
    data = file.getvalue()
    assert psnr(drawing.read_photo(data).drawing, expected) > 25
    last = data[data.rindex(b"\xff\xda"):-2]
    with pytest.raises(ValueError, match="the JPEG has too many scans: it may have 50"):
        drawing.read_photo(data[:-2] + 50 * last + data[-2:])


def test_a_huge_picture_is_refused_before_it_is_decoded(monkeypatch):
    picture = Image.new("1", (5_000, 4_000))
    monkeypatch.setattr(picture, "convert", None)
    with pytest.raises(ValueError, match="too large: it may have 16 million pixels, a JPEG 25 million"):
        drawing.from_photo(picture)
    with pytest.raises(ValueError, match="too large: it may have 16 MB"):
        drawing.read_photo(b"\x89PNG" + bytes(drawing.MAX_BYTES))


def test_a_file_that_is_no_picture_or_is_cut_off_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no picture that can be read: PNG, JPEG"):
        drawing.read_photo(b"GIF89a, it says")
    with pytest.raises(ValueError, match="there is no file .*nowhere.png"):
        drawing.read(tmp_path / "nowhere.png")
    file = io.BytesIO()
    scene().save(file, "PNG")
    (tmp_path / "cut.png").write_bytes(file.getvalue()[:20_000])
    with pytest.raises(ValueError, match="the picture is damaged"):
        drawing.read(tmp_path / "cut.png")


def test_a_file_of_28_by_28_pixels_is_taken_as_it_is(tmp_path):
    x = drawing.rounded(torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    images.to_pil(x).save(tmp_path / "x.png")
    assert (drawing.read(tmp_path / "x.png") - x).abs().max() < 0.01
