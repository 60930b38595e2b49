"""Folders of pictures of any origin: what is found, what is left out, and which pixels come out."""

import os
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from ganlib import picture_cache, pictures
from ganlib.pictures import Reading, look, read

GREY, COLOUR = (1, 8, 8), (3, 8, 8)


def drawn(folder: Path, *names: str) -> Path:
    """A folder with a small picture of each of these names."""
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (10, 10), i).save(path, format="PNG")
    return folder


def names(found: pictures.Found) -> list[str]:
    return [path.relative_to(found.folder).as_posix() for path in found.files]


def middle_and_corner(folder: Path, name: str, image: Image.Image, shape=COLOUR, ground: str = "white",
                      **options) -> tuple[list[int], list[int]]:
    """The pixels that come out of a picture of 8×8 pixels that is saved under a name."""
    for i in range(2):
        image.save(folder / f"{i}-{name}", **options)
    pixels = read(look(folder), shape, Reading(ground)).images[1]
    return pixels[:, 4, 4].tolist(), pixels[:, 0, 0].tolist()


def spot(mode: str, ground, colour) -> Image.Image:
    image = Image.new(mode, (8, 8), ground)
    image.paste(colour, (2, 2, 6, 6))
    return image


BLACK_ON_NOTHING = spot("RGBA", (0, 0, 0, 0), (0, 0, 0, 255))
HIDDEN_RED = spot("RGBA", (255, 0, 0, 0), (0, 0, 0, 255))


@pytest.mark.parametrize(("name", "image", "options"), [
    ("rgba.png", BLACK_ON_NOTHING, {}), ("rgba.png", HIDDEN_RED, {}), ("la.png", BLACK_ON_NOTHING.convert("LA"), {}),
    ("rgba.webp", HIDDEN_RED, {"lossless": True, "exact": True}), ("rgba.tiff", HIDDEN_RED, {}),
    ("la.tif", BLACK_ON_NOTHING.convert("LA"), {}), ("rgba.gif", HIDDEN_RED, {}), ("rgba.tga", HIDDEN_RED, {}),
    ("rgba.qoi", HIDDEN_RED, {}), ("rgba.jp2", BLACK_ON_NOTHING, {}),
    ("palette.png", BLACK_ON_NOTHING.quantize(4), {}),
    ("index.png", spot("P", 0, 1), {"transparency": 0}), ("bytes.png", spot("P", 0, 1), {"transparency": b"\0\xff"}),
    ("index.gif", spot("P", 0, 1), {"transparency": 0}), ("grey.png", spot("L", 200, 0), {"transparency": 200}),
    ("colour.png", spot("RGB", (9, 9, 9), 0), {"transparency": (9, 9, 9)}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_transparency_is_laid_on_the_background(name, image, options, tmp_path):
    if image.mode == "P" and not image.has_transparency_data:
        image.putpalette([255, 0, 0] + [0] * 765)
    assert middle_and_corner(tmp_path, name, image, **options) == ([0, 0, 0], [255, 255, 255])
    assert middle_and_corner(tmp_path, name, image, ground="#0000ff", **options) == ([0, 0, 0], [0, 0, 255])
    assert middle_and_corner(tmp_path, name, image, GREY, "white", **options) == ([0], [255])
    assert "Transparent, and composited onto white: 2." in read(look(tmp_path), COLOUR).report


def test_half_transparent_is_mixed_and_opaque_is_not_counted(tmp_path):
    assert middle_and_corner(tmp_path, "half.png", spot("RGBA", (0, 0, 0, 51), (0, 0, 0, 255)))[1] == [204] * 3
    assert middle_and_corner(tmp_path, "half.png", spot("RGBA", (9, 9, 9, 255), (0, 0, 0, 255)))[1] == [9] * 3
    assert not any("Transparent" in line for line in read(look(tmp_path), COLOUR).report)


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.pgm", "deep.jp2"])
def test_sixteen_bits_are_scaled_by_their_own_depth(name, tmp_path):
    values = numpy.full((8, 8), 257 * 40, numpy.uint16)
    values[2:6, 2:6] = 65535
    assert middle_and_corner(tmp_path, name, Image.fromarray(values)) == ([255] * 3, [40] * 3)


def test_twelve_bits_and_a_transparent_value_of_sixteen_bits_are_scaled_too():
    deep = Image.fromarray(numpy.array([[0, 4095]], numpy.uint16))
    table = (numpy.arange(2**16) / 4095 * 255).round().clip(0, 255).astype(numpy.uint8)
    assert numpy.asarray(pictures._flattened(deep, table, (9, 9, 9))[0]).tolist() == [[0, 255]]
    deep.info["transparency"] = 4095
    flat, transparent = pictures._flattened(deep, table, (9, 9, 9))
    assert (numpy.asarray(flat.convert("L")).tolist(), transparent) == ([[0, 9]], True)


@pytest.mark.parametrize(("dtype", "kind"), [(numpy.int32, "whole"), (numpy.float32, "floating-point")])
def test_values_of_unknown_range_are_refused(dtype, kind, tmp_path):
    for i in range(2):
        Image.fromarray(numpy.full((8, 8), 1000, dtype)).save(tmp_path / f"{i}.tiff")
    with pytest.raises(ValueError, match=f"2 of 2 pictures .* 0.tiff .its values are {kind} numbers of unknown range: "
                                         f"save it with unsigned 8 or 16 bits"):
        read(look(tmp_path), GREY)


def test_every_mode_becomes_grey_and_colour(tmp_path):
    red = Image.new("RGB", (8, 8), (200, 30, 40))
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    images = [red, red.convert("CMYK"), red.quantize(4), ImageCms.profileToProfile(red, srgb, lab, outputMode="LAB")]
    for image in images:
        (colour, _), (grey, _) = (middle_and_corner(tmp_path, "one.tif", image, shape) for shape in (COLOUR, GREY))
        assert numpy.abs(numpy.array(colour) - (200, 30, 40)).max() <= 2, image.mode
        assert abs(grey[0] - 82) <= 2, image.mode


def test_pictures_are_upright_cropped_to_their_middle_and_of_any_shape(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side
    wide = Image.new("RGB", (120, 40), (255, 0, 0))
    wide.paste((0, 0, 255), (40, 0, 80, 40))
    wide.save(tmp_path / "0.png")
    wide.save(tmp_path / "1.png", exif=exif)
    damaged = PngInfo()
    damaged.add(b"eXIf", b"MM\0*\0\0\0\x08\0\x09")
    wide.save(tmp_path / "2.png", pnginfo=damaged)
    found, blue = read(look(tmp_path), (3, 30, 30)), torch.tensor([0, 0, 255])
    assert all((image.flatten(1).float().mean(1) - blue).abs().max() < 8 for image in found.images)
    assert found.report[0] == ("They have 40×120 to 120×40 pixels. The networks see 30×30 pixels, in colour, from the "
                               "middle of each picture.")
    tall = read(look(tmp_path), (3, 60, 20)).images
    assert tall.shape == (3, 3, 60, 20)
    assert (tall[1][0, :15] > 200).all()  # the red end is up
    assert (tall[1][2, 25:35] > 200).all()


def test_hidden_files_and_folders_are_left_out_and_counted(tmp_path):
    drawn(tmp_path, "a/0.png", "b/1.png", "a/._0.png", ".ipynb_checkpoints/0.png", ".thumbnails/x/1.png",
          "__MACOSX/a/0.png", "a/.x/2.png", ".DS_Store")
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"1")
    (tmp_path / "notes").write_text("2", encoding="ascii")
    found = look(tmp_path)
    assert (names(found), found.class_names) == (["a/0.png", "b/1.png"], ("a", "b"))
    assert read(found, GREY).report[1:] == (
        "2 classes: a 1, b 1.",
        "Left out: 2 hidden files, 4 hidden folders, 2 files of other kinds (.db).")


def test_whatever_pillow_reads_is_found_by_its_suffix_or_by_its_first_bytes(tmp_path):
    drawn(tmp_path, "0.png", "1.image", "2", "3.PNG", "4.jfif", "5.txt")
    for name in ("6.ppm", "7.j2k", "8.tga", "9.ico", "10.pcx", "11.avif"):
        Image.new("RGB", (16, 16), 5).save(tmp_path / name)
    for name in ("12.eps", "13.txt", "14.json", "15.svg", "16.nef"):
        (tmp_path / name).write_text("%!PS-Adobe-3.0 EPSF-3.0", encoding="ascii")
    found = look(tmp_path)
    assert names(found) == ["0.png", "1.image", "2", "3.PNG", "4.jfif", "5.txt", "6.ppm", "7.j2k", "8.tga", "9.ico",
                            "10.pcx", "11.avif"]
    assert found.left_out == {"files of other kinds (.eps, .json, .nef, .svg, .txt)": 5}
    assert len(read(found, GREY).images) == 12


def test_numbers_in_names_are_sorted_by_their_value(tmp_path):
    found = look(drawn(tmp_path, *(f"{n}/{i}.png" for n in (10, 0, 2, 1) for i in (10, 9))))
    assert found.class_names == ("0", "1", "2", "10")
    assert names(found)[-2:] == ["10/9.png", "10/10.png"]
    assert found.labels == (0, 0, 1, 1, 2, 2, 3, 3)


def test_depth_is_read_where_its_meaning_is_clear(tmp_path):
    lone = drawn(tmp_path / "lone", "icons/small/1.png", "icons/small/0.png")
    assert (names(look(lone)), look(lone).class_names) == (["icons/small/0.png", "icons/small/1.png"], ())
    deep = drawn(tmp_path / "deep", "cat/images/0.png", "dog/1.png", "dog/more/2.png", "dog/more/3/4.png")
    (deep / "dog" / "empty").mkdir()
    assert (names(look(deep)), look(deep).labels) == (
        ["cat/images/0.png", "dog/1.png", "dog/more/2.png", "dog/more/3/4.png"], (0, 1, 1, 1))
    with pytest.raises(ValueError, match=r"folders of folders of pictures, such as .*train, so it has no clear"):
        look(drawn(tmp_path / "split", "train/cat/0.png", "train/dog/0.png", "valid/cat/0.png", "valid/dog/0.png"))
    with pytest.raises(ValueError, match=r"in subfolders, such as .*cat, so it has no clear classes: use one or"):
        look(drawn(tmp_path / "both", "0.png", "cat/1.png"))
    for name, count in (("split", 4), ("both", 2)):  # clear for networks without classes
        assert (len(look(tmp_path / name, classes=False).files), look(tmp_path / name, False).labels) == (count, ())
    assert look(deep, classes=False) == look(deep)
    with pytest.raises(ValueError, match=r"none holds no pictures \(left out: 1 hidden file, 1 hidden folder\)$"):
        look(drawn(tmp_path / "none", ".0.png", ".a/0.png"))


def test_links_are_followed_but_not_round_and_round(tmp_path):
    drawn(tmp_path / "elsewhere", "0.png", "1.png")
    drawn(tmp_path / "mine", "a/2.png")
    (tmp_path / "mine" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "mine" / "a" / "up").symlink_to(tmp_path / "mine")
    for name in ("gone.png", "itself.png"):
        (tmp_path / "mine" / "a" / name).symlink_to(name.replace("gone", "nothing"))
    found = look(tmp_path / "mine")
    assert names(found) == ["a/2.png", "b/0.png", "b/1.png"]
    assert found.left_out == {"link to a folder around it": 1, "links that lead nowhere": 2}


@pytest.mark.skipif(os.name != "posix", reason="other systems have no names that are not UTF-8")
def test_a_class_whose_name_cannot_be_saved_is_refused_before_anything_is_read(tmp_path):
    try:
        drawn(tmp_path, os.fsdecode(b"caf\xe9/0.png"), "tea/0.png")
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(ValueError, match=r"the name of the folder .*caf\\xe9 is not UTF-8, and .*: rename it") as error:
        look(tmp_path)
    str(error.value).encode()


def test_names_of_classes_are_composed_alike_on_every_system(tmp_path):
    assert look(drawn(tmp_path, "cafe\u0301/0.png", "tea/0.png")).class_names == ("caf\xe9", "tea")
    (tmp_path / "caf\xe9").mkdir(exist_ok=True)
    if len(os.listdir(tmp_path)) == 3:  # on some systems both are one name
        drawn(tmp_path, "caf\xe9/1.png")
        with pytest.raises(ValueError, match="two folders whose names look alike, caf\xe9: rename one of them"):
            look(tmp_path)


@pytest.mark.parametrize(("name", "content"), [
    ("a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments"),
    ("a.jpg", b"\xd7\xcd\xc6\x9a\0\0" + bytes(80))])
def test_no_other_program_is_started_whatever_a_file_is_called(name, content, tmp_path, monkeypatch):
    """EPS is drawn by Ghostscript, WMF by Windows: what a stranger's file says must not reach either."""
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    drawn(tmp_path, "0.png", "1.png")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"1 of 3 pictures in .* {name} .it is no picture."):
        read(look(tmp_path), GREY)


@pytest.mark.parametrize(("bits", "colour", "value"), [(2, 0, 2), (4, 0, 10), (16, 2, 257 * 77)])
def test_a_transparent_value_of_any_depth_is_recognised(bits, colour, value, tmp_path):
    """PNG files of 2 or 4 bits, or of 16 bits in colour, whose whole ground has the value that is transparent."""
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    channels = 3 if colour else 1
    row = (struct.pack(">H", value) * channels * 8 if bits == 16 else
           int("".join(f"{value:0{bits}b}" for _ in range(8)), 2).to_bytes(bits, "big"))
    parts = {b"IHDR": struct.pack(">IIBBBBB", 8, 8, bits, colour, 0, 0, 0),
             b"tRNS": struct.pack(">H", value) * channels,
             b"IDAT": zlib.compress((b"\0" + row) * 8), b"IEND": b""}
    content = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, part) for kind, part in parts.items())
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(content)
    assert read(look(tmp_path), COLOUR, Reading("#010203")).images[0, :, 4, 4].tolist() == [1, 2, 3]


def test_sixteen_bits_where_zero_is_white_are_not_inverted(tmp_path):
    values = numpy.full((8, 8), 65535, numpy.uint16)
    assert middle_and_corner(tmp_path, "scan.tif", Image.fromarray(values), tiffinfo={262: 0})[0] == [0, 0, 0]


def test_all_broken_files_are_named_and_can_be_skipped(tmp_path):
    drawn(tmp_path, "a/0.png", "a/1.png", "b/0.png")
    noise = numpy.random.RandomState(0).randint(256, size=(40, 40), dtype=numpy.uint8)
    Image.fromarray(noise).save(tmp_path / "a" / "0.png")
    whole = (tmp_path / "a" / "0.png").read_bytes()
    broken = {"a/2.png": b"", "a/3.jpg": b"text", "b/1.png": whole[:len(whole) // 2], "c/0.png": b"\x89PNG\r\n\x1a\n"}
    broken |= {f"b/x{i}.png": b"" for i in range(20)}
    for name, content in broken.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="24 of 27 pictures in") as error:
        read(look(tmp_path), GREY)
    message = str(error.value)
    assert message.count(".png") + message.count(".jpg") == 10
    assert "a/2.png (it is no picture), a/3.jpg (it is no picture), b/1.png (" in message
    assert message.endswith(" and 14 more. Repair or remove them, or leave them out by --skip-broken")
    found = read(look(tmp_path), GREY, Reading(skip_broken=True))
    assert (found.labels.tolist(), found.class_names) == ([0, 0, 1], ("a", "b"))  # c has no picture that can be read
    assert found.report[-1] == "Left out: 24 that cannot be read."
    (tmp_path / "a" / "0.png").unlink()
    (tmp_path / "b" / "0.png").unlink()
    with pytest.raises(ValueError, match="holds only 1 picture that can be read; give 2 or more"):
        read(look(tmp_path), GREY, Reading(skip_broken=True))


def test_a_picture_beyond_pillows_limit_is_read_and_one_beyond_ours_is_refused(tmp_path, monkeypatch):
    drawn(tmp_path, "0.png", "1.png")
    Image.new("L", (400, 300), 77).save(tmp_path / "2.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    monkeypatch.setattr(pictures, "LARGE", 10_000)
    assert read(look(tmp_path), GREY).images[2].unique().tolist() == [77]
    glyph = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    glyph.paste((0, 0, 0, 255), (0, 0, 400, 150))
    glyph.save(tmp_path / "2.png")
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    glyph.save(tmp_path / "3.png", exif=exif)
    monkeypatch.setattr(pictures, "BAND", 10_000)
    for image, top in zip(read(look(tmp_path), GREY).images[2:], (0, 255)):
        assert ((image[0, :3].int() - top).abs() < 5).all()
        assert ((image[0, 5:].int() - 255 + top).abs() < 5).all()
    assert Image.MAX_IMAGE_PIXELS == 1_000
    monkeypatch.setattr(pictures, "MAX_PIXELS", 100_000)
    with pytest.raises(ValueError, match=r"2.png \(it has 120,000 pixels, at most 100,000 can be read\)"):
        read(look(tmp_path), GREY)


def test_two_readings_at_once_give_pillows_limit_back(tmp_path):
    found, before = look(drawn(tmp_path, "0.png", "1.png")), Image.MAX_IMAGE_PIXELS
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: read(found, GREY), range(8)))
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("background", ["whitish", "#12", "", None, 7])
def test_a_background_is_a_colour(background):
    with pytest.raises(ValueError, match="background must be a colour such as white, black or #8090a0, not"):
        Reading(background)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(picture_cache, "KEPT_FROM", 0.0)
    monkeypatch.setattr(picture_cache, "SETTLED", 0)
    return tmp_path / "cache"


def test_the_second_time_nothing_is_decoded(tmp_path, cache, monkeypatch):
    folder = drawn(tmp_path / "mine", "a/0.png", "a/1.png", "b/2.png")
    (folder / "b" / "3.png").write_bytes(b"")
    lenient = Reading(skip_broken=True)
    first = read(look(folder), GREY, lenient, cache)
    assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".safetensors"]
    monkeypatch.setattr(pictures, "_one", lambda *_: pytest.fail("a picture was decoded"))
    again = read(look(folder), GREY, lenient, cache)
    assert torch.equal(first.images, again.images)
    assert (first.labels.tolist(), first.class_names, first.report) == (again.labels.tolist(), again.class_names,
                                                                        again.report)
    with pytest.raises(ValueError, match=r"1 of 4 pictures in .* b.3.png \(it is no picture\)"):
        read(look(folder), GREY, None, cache)
    folder.rename(tmp_path / "moved")
    os.utime(tmp_path / "moved" / "a" / "0.png", (1, 1))
    assert torch.equal(first.images, read(look(tmp_path / "moved"), GREY, lenient, cache).images)


def test_the_cache_is_keyed_by_content_and_by_all_that_matters(tmp_path, cache):
    folder = drawn(tmp_path / "mine", "0.png", "1.png")
    Image.new("L", (10, 10), 0).save(folder / "0.png", compress_level=0)
    first, seen = read(look(folder), GREY, None, cache).images, os.stat(folder / "0.png")
    Image.new("L", (10, 10), 9).save(folder / "0.png", compress_level=0)
    os.utime(folder / "0.png", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert os.stat(folder / "0.png").st_size == seen.st_size
    assert first[0].unique().tolist() == [0]
    assert read(look(folder), GREY, None, cache).images[0].unique().tolist() == [9]
    assert read(look(folder), (1, 4, 6), None, cache).images.shape == (2, 1, 4, 6)
    Image.new("RGBA", (10, 10), (0, 0, 0, 0)).save(folder / "0.png")
    for colour, value in (("white", 255), ("black", 0)):
        assert read(look(folder), GREY, Reading(colour), cache).images[0].unique().tolist() == [value]


def test_an_interrupted_damaged_or_useless_cache_is_no_harm(tmp_path, cache, monkeypatch):
    folder = drawn(tmp_path / "mine", "0.png", "1.png")
    with monkeypatch.context() as interrupted:
        interrupted.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            read(look(folder), GREY, None, cache)
    assert list(cache.iterdir()) == []
    read(look(folder), GREY, None, cache)
    for kept in cache.iterdir():
        kept.write_bytes(kept.read_bytes()[:50])
    assert len(read(look(folder), GREY, None, cache).images) == 2
    (tmp_path / "file").write_bytes(b"")
    assert len(read(look(folder), GREY, None, tmp_path / "file" / "cache").images) == 2
    for n in range(12):
        stale = cache / f"{n}.safetensors"
        stale.write_bytes(b"")
        os.utime(stale, (n, n))
    (cache / "killed.partial").write_bytes(b"")
    os.utime(cache / "killed.partial", (1, 1))
    monkeypatch.setattr(picture_cache, "KEPT_BYTES", 5_000)
    (cache / "11.safetensors").write_bytes(bytes(6_000))
    read(look(folder), (1, 4, 4), None, cache)
    assert not (cache / "killed.partial").exists()
    assert not (cache / "11.safetensors").exists()
    assert sum(path.stat().st_size for path in cache.iterdir()) <= 5_000
    assert len(read(look(folder), (1, 4, 4), None, cache).images) == 2


def test_a_file_is_hashed_again_only_where_it_changed(tmp_path, cache, monkeypatch):
    folder = drawn(tmp_path / "mine", *(f"{i}.png" for i in range(20)))
    read(look(folder), GREY, None, cache)
    hashed, own = [], picture_cache._hash
    monkeypatch.setattr(picture_cache, "_hash", lambda path: hashed.append(path.name) or own(path))
    read(look(folder), GREY, None, cache)
    assert hashed == []
    drawn(folder, "20.png")
    Image.new("L", (10, 10), 99).save(folder / "3.png")
    assert read(look(folder), GREY, None, cache).images[3].unique().tolist() == [99]
    assert sorted(hashed) == ["20.png", "3.png"]
    hashed.clear()
    monkeypatch.setattr(picture_cache, "SETTLED", 10**12)  # files that may still change
    drawn(folder, "0.png")
    for _ in range(2):
        read(look(folder), GREY, None, cache)
    assert hashed.count("0.png") == 2


@pytest.mark.parametrize("trouble", [MemoryError(), OSError(24, "Too many open files")])
def test_trouble_that_passes_is_not_kept(trouble, tmp_path, cache, monkeypatch):
    folder, own = drawn(tmp_path / "mine", "0.png", "1.png", "2.png"), Image.open

    def failing(path, *rest, **options):
        if str(path).endswith("1.png"):
            raise trouble
        return own(path, *rest, **options)

    with monkeypatch.context() as busy:
        busy.setattr(Image, "open", failing)
        with pytest.raises(ValueError, match=r"1 of 3 pictures .* 1.png .(there is not enough memory|Too many open)"):
            read(look(folder), GREY, None, cache)
    assert len(read(look(folder), GREY, None, cache).images) == 3


def test_a_file_that_changes_while_it_is_read_is_not_kept(tmp_path, cache, monkeypatch):
    folder, own = drawn(tmp_path / "mine", "0.png", "1.png"), pictures._one
    before = (folder / "0.png").read_bytes()

    def changing(path, *rest):
        Image.new("L", (10, 10), 200).save(folder / "0.png")
        return own(path, *rest)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(pictures, "_one", changing)
        assert read(look(folder), GREY, None, cache).images[0].unique().tolist() == [200]
    (folder / "0.png").write_bytes(before)
    assert read(look(folder), GREY, None, cache).images[0].unique().tolist() == [0]


def test_a_folder_that_must_not_be_read_is_left_out(tmp_path, monkeypatch):
    folder, own = drawn(tmp_path, "a/0.png", "b/0.png", "c/0.png"), os.scandir

    def scandir(path):  # a superuser may read all folders
        if Path(path).name == "c":
            raise PermissionError(13, "Permission denied")
        return own(path)

    monkeypatch.setattr(pictures.os, "scandir", scandir)
    assert look(folder).left_out == {"folder that must not be read": 1}


def test_a_short_reading_is_not_kept_and_a_long_one_tells_how_far_it_is(tmp_path):
    told: list[tuple[str, float]] = []
    folder = drawn(tmp_path / "mine", *(f"{i}.png" for i in range(150)))
    start = time.monotonic()
    read(look(folder), GREY, None, tmp_path / "cache", lambda *now: told.append(now))
    assert time.monotonic() - start > picture_cache.KEPT_FROM or not (tmp_path / "cache").exists()
    for words in ("looking at the pictures", "reading the pictures"):
        shares = [share for what, share in told if what == words]
        assert len(shares) > 5
        assert shares == sorted(shares)
        assert shares[-1] == 1
    assert {what for what, _ in told} == {"looking at the pictures", "reading the pictures"}


def test_an_interruption_ends_a_long_reading_at_once(tmp_path, monkeypatch):
    read_so_far = []

    def slowly(path, *_):
        read_so_far.append(path)
        if len(read_so_far) == 3:
            raise KeyboardInterrupt
        time.sleep(0.002)
        return "slow"

    monkeypatch.setattr(pictures, "_one", slowly)
    with pytest.raises(KeyboardInterrupt):
        read(look(drawn(tmp_path, *(f"{i}.png" for i in range(300)))), GREY)
    assert len(read_so_far) < 250


def test_a_shape_that_is_no_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"samples of shape \(2,\) are wanted"):
        read(look(drawn(tmp_path, "0.png", "1.png")), (2,))
