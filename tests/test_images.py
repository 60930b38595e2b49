import struct
import sys
import zlib
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image, ImageSequence

from ganlib import images
from ganlib.report import growth


@pytest.mark.parametrize("channels", [1, 3])
def test_to_pil_and_back(channels):
    x = torch.randint(0, 256, (channels, 5, 7)) / 127.5 - 1
    picture = images.to_pil(x)
    assert picture.size == (7, 5)
    torch.testing.assert_close(images.from_pil(picture, channels), x)


def test_values_out_of_range_are_clipped():
    assert images.to_uint8(torch.tensor([-3.0, -1, 0, 1, 3])).tolist() == [0, 0, 128, 255, 255]


def test_enlarged_pixels_are_not_blurred():
    x = torch.tensor([[[-1.0, 1.0], [1.0, -1.0]]])
    large = images.enlarge(images.to_pil(x), 9)
    assert large.size == (18, 18)
    assert {value for _, value in large.getcolors()} == {0, 255}


def test_a_sheet_holds_every_image_in_order():
    x = torch.linspace(-1, 1, 6)[:, None, None, None].expand(6, 1, 4, 4)
    sheet = images.contact_sheet(x, columns=3, scale=5)
    cell = 4 * 5 + 5
    centres = [sheet.getpixel((5 + 10 + i % 3 * cell, 5 + 10 + i // 3 * cell))[0] for i in range(6)]
    assert centres == images.to_uint8(x[:, 0, 0, 0]).tolist()
    assert sheet.size == (3 * cell + 5, 2 * cell + 5)


@pytest.mark.parametrize("n", [1, 2, 10, 64, 100])
def test_sheets_are_large_enough_to_be_shown_without_blur(n):
    sheet = images.contact_sheet(torch.zeros(n, 1, 28, 28))
    assert 450 <= sheet.width <= 1500


@pytest.mark.parametrize("n", [1, 2, 25, 64])
@pytest.mark.parametrize(("height", "width"), [(64, 48), (32, 96), (16, 64), (64, 16)])
def test_sheets_of_images_that_are_not_square_are_nearly_square(n, height, width):
    sheet = images.contact_sheet(torch.zeros(n, 1, height, width))
    assert sheet.width <= 1800
    if n >= 25:
        assert sheet.width >= 900
        assert 0.6 < sheet.width / sheet.height < 1.6


def test_a_grid_has_the_aspect_that_is_asked_for_and_a_last_row_as_full_as_can_be():
    assert [images.columns_of(n, 28, 28) for n in (1, 2, 9, 10, 25, 64)] == [1, 2, 3, 4, 5, 8]
    assert [images.columns_of(32, *size, aspect=2) for size in ((28, 28), (56, 28), (28, 56))] == [8, 11, 6]
    assert [images.fewest_columns(n, 16) for n in (2, 16, 17, 32, 33)] == [2, 16, 9, 16, 11]


def test_rows_hold_whole_groups():
    assert [images.columns_of_groups(n, group, 28, 28) for n, group in ((400, 2), (6, 3), (30, 10), (100, 3), (9, 9))
            ] == [20, 3, 10, 9, 9]


def test_captions_of_images_that_are_not_square_fit_below_them():
    for height, width in ((16, 64), (64, 16)):
        x = -torch.ones(6, 1, height, width)
        sheet = images.contact_sheet(x, columns=1, scale=4, captions=["100% real"] * 6)
        left, _, right, _ = sheet.convert("L").point(lambda value: 255 * (value > 60)).getbbox()
        assert left >= 4
        assert right <= 4 + 4 * width


def test_captions_make_room_and_leave_ink():
    x = -torch.ones(4, 1, 28, 28)
    bare, captioned = images.contact_sheet(x, scale=4), images.contact_sheet(x, scale=4, captions=["7"] * 4)
    assert captioned.height > bare.height
    assert captioned.width == bare.width
    assert max(colour[0] for _, colour in captioned.getcolors(100_000)) > 150
    assert max(colour[0] for _, colour in bare.getcolors(100_000)) < 20
    two_lines = images.contact_sheet(x, scale=4, captions=["7\n99% real"] * 4)
    assert two_lines.height > captioned.height


def test_a_gif_goes_there_and_back_and_is_written_whole(tmp_path):
    x = torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 1, 6, 6)
    with Image.open(images.write_gif(x, tmp_path / "walk.gif", scale=2)) as movie:
        assert movie.n_frames == 8  # the ends once
        assert movie.info["loop"] == 0
        assert movie.size == (12, 12)
    assert [path.name for path in tmp_path.iterdir()] == ["walk.gif"]


needs_av = pytest.mark.skipif(not images.can_write_mp4(), reason="PyAV is not at hand")
film_formats = pytest.mark.parametrize("write", [images.write_gif, pytest.param(images.write_mp4, marks=needs_av)])


def frames_of(path: Path) -> tuple[torch.Tensor, float]:
    """The frames of a GIF or MP4 in grey, (N, H, W) float in [0, 255], and how many seconds it lasts."""
    if path.suffix == ".gif":
        with Image.open(path) as film:
            parts = [(torch.from_numpy(numpy.array(frame.convert("L"))), frame.info["duration"] / 1000)
                     for frame in ImageSequence.Iterator(film)]
        return torch.stack([pixels for pixels, _ in parts]).float(), sum(seconds for _, seconds in parts)
    import av

    with av.open(path) as film:
        pixels = [torch.from_numpy(frame.to_ndarray(format="gray")) for frame in film.decode(video=0)]
        return torch.stack(pixels).float(), float(film.duration / av.time_base)


def patterns(n: int, channels: int = 1) -> torch.Tensor:
    """Frames of hard edges that differ."""
    return torch.randint(0, 3, (n, channels, 7, 6), generator=torch.Generator().manual_seed(0)) - 1.0


@film_formats
@pytest.mark.parametrize("closed", [False, True])
def test_a_film_shows_its_frames_there_and_back_or_round(write, closed, tmp_path):
    x = patterns(6)
    path = write(x, tmp_path / f"walk.{write.__name__[-3:]}", scale=8, seconds=1.0, closed=closed)
    found, seconds = frames_of(path)
    expected = images.to_uint8(x if closed else torch.cat([x, x[1:5].flip(0)]))
    expected = expected[:, 0].float().repeat_interleave(8, 1).repeat_interleave(8, 2)
    assert found.shape == expected.shape
    noise = (found - expected).square().mean((1, 2))
    assert (10 * torch.log10(255**2 / noise.clamp_min(1e-9)) > 40).all()
    assert seconds == pytest.approx(1 if closed else 2, abs=0.05)
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


@film_formats
def test_the_same_frames_give_the_same_file(write, tmp_path):
    assert write(patterns(3, 3), tmp_path / "a").read_bytes() == write(patterns(3, 3), tmp_path / "b").read_bytes()


@film_formats
@pytest.mark.parametrize("closed", [False, True])
def test_a_film_may_have_one_frame(write, closed, tmp_path):
    path = write(patterns(1), tmp_path / f"still.{write.__name__[-3:]}", closed=closed)
    assert frames_of(path)[0].shape == (1, 56, 48)


@film_formats
@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "2", 301])
def test_a_film_needs_a_time(write, seconds, tmp_path):
    with pytest.raises(ValueError, match="seconds must be a number above 0 and at most 300"):
        write(patterns(2), tmp_path / "walk", seconds=seconds)
    assert not list(tmp_path.iterdir())


@film_formats
@pytest.mark.parametrize(("frames", "closed", "lasts"), [(2, False, 600), (2, True, 300), (1, True, 300)])
def test_a_film_may_be_as_long_as_300_seconds_a_way(write, frames, closed, lasts, tmp_path):
    path = write(patterns(frames), tmp_path / f"walk.{write.__name__[-3:]}", 1, 300, closed)
    assert frames_of(path)[1] == pytest.approx(lasts)


@film_formats
def test_the_shortest_time_of_a_film_is_no_division_by_zero(write, tmp_path):
    write(patterns(2), tmp_path / "walk", seconds=5e-324)


def test_a_gif_of_equal_frames_lasts_no_longer_than_one_frame_may(tmp_path):
    path = images.write_gif(torch.zeros(41, 1, 1, 1), tmp_path / "still.gif", 1, 300)
    with Image.open(path) as film:
        assert film.info["duration"] == 600_000


@film_formats
@pytest.mark.parametrize(("x", "options", "sentence"), [
    (patterns(2)[:0], {}, r"a film has 1 to 5,000 frames \(N, C, H, W\), not \(0, 1, 7, 6\)"),
    (patterns(1)[0], {}, "a film has 1 to 5,000 frames"),
    (torch.zeros(1, 1, 1, 1).expand(5_001, 1, 1, 1), {}, r"not \(5001, 1, 1, 1\)"),
    (patterns(2), {"scale": 0}, "scale must be a whole number from 1 to 2340, not 0"),
    (patterns(2), {"scale": 2341}, "scale must be"), (patterns(2), {"scale": 1.5}, "scale must be"),
    (patterns(2), {"comment": "é"}, "a film's comment must be a text in ASCII, not 'é'"),
    (patterns(2), {"comment": b"x"}, "a film's comment must be a text in ASCII")])
def test_films_of_wrong_arguments_are_refused_in_one_sentence(write, x, options, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        write(x, tmp_path / "walk", **options)
    assert not list(tmp_path.iterdir())


@needs_av
def test_an_mp4_is_one_that_browsers_play(tmp_path):
    import av

    path = images.write_mp4(patterns(40, 3), tmp_path / "walk.mp4", scale=5, seconds=0.1)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(path) as film:
        (stream,) = film.streams
        assert (stream.codec.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (30, 36)  # 30 × 35, with one row more
        assert stream.average_rate == 60


@needs_av
def test_an_mp4_that_fails_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    def stops(*arguments):
        raise KeyboardInterrupt

    (tmp_path / "walk.mp4").write_bytes(b"before")
    monkeypatch.setattr(images.numpy, "pad", stops)
    with pytest.raises(KeyboardInterrupt):
        images.write_mp4(patterns(2), tmp_path / "walk.mp4")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"walk.mp4": b"before"}


def test_without_pyav_a_gif_can_be_written_and_an_mp4_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert not images.can_write_mp4()
    with pytest.raises(ValueError, match=r'MP4 needs av: pip install -e ".\[app\]"$'):
        images.write_mp4(patterns(2), tmp_path / "walk.mp4")
    images.write_gif(patterns(2), tmp_path / "walk.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["walk.gif"]


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match="1 or 3"):
        images.to_pil(torch.zeros(2, 4, 4))


def test_the_picture_of_a_training_is_read_back(tmp_path):
    rows = []
    for step, value in ((0, -1.0), (5, 0.0), (40, 1.0)):
        path = tmp_path / f"step-{step:07d}.png"
        images.to_pil(torch.full((1, 4, 12), value)).save(path)
        rows.append(path)
    (tmp_path / "growth.png").write_bytes(growth(rows))
    steps, sheet = images.read_growth(tmp_path / "growth.png")
    assert steps == [0, 5, 40]
    assert sheet.size == (12, 12)
    assert [round(sheet.getpixel((3, row * 4 + 2))[0] / 255, 1) for row in range(3)] == [0, 0.5, 1]


def test_another_picture_is_not_taken_for_one_of_a_training(tmp_path):
    images.to_pil(torch.zeros(1, 4, 4)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    for name in ("a.png", "b.png", "nowhere.png"):
        with pytest.raises(ValueError, match="does not show how a training went"):
            images.read_growth(tmp_path / name)


@pytest.mark.parametrize("read", [images.read, images.read_growth])
@pytest.mark.parametrize("side", [6_600, 12_000, 20_000, 2**31 - 1])  # for Pillow: allowed, a warning, an error twice
def test_a_picture_of_too_many_pixels_is_not_decoded(read, side, tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = [struct.pack(">I", 13), header, struct.pack(">I", zlib.crc32(header)), b"\0\0\0\0IEND\xaeB`\x82"]
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(ValueError, match="has too many pixels: it may have 42,991,616"):
        read(tmp_path / "bomb.png")


def test_pictures_of_other_formats_are_not_read(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png", "BMP")
    with pytest.raises(ValueError, match="is not a readable image"):
        images.read(tmp_path / "a.png")
