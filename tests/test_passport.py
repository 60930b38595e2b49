"""A passport comes back as it was written, from every format, and no other file does harm."""

import io
import json
import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ganlib import __version__, images, passport
from ganlib.model import Model
from tests.conftest import untrained

HASH = "0123456789abcdef" * 4
PASSPORT = {"ganlib": "1.2.3", "tab": "generate", "model": "dcgan ü", "revision": None, "weights_sha256": HASH,
            "seed": 7, "psi": 0.8, "class": "3", "closed": True, "waypoints": ["3", "8:7", "z" + "_-9A" * 67]}
JSON = json.dumps(PASSPORT, separators=(",", ":")).encode()
KEY = b"ganlib\0"


@pytest.fixture(scope="module")
def model() -> Model:
    return untrained("toy-gaussian")


def written(kind: str, folder: Path, text: str | None = None) -> bytes:
    """The content of a small file of that kind, with a passport or another comment."""
    path, x = folder / f"small.{kind}", torch.linspace(-1, 1, 3 * 16).view(3, 1, 4, 4)
    if kind == "png":
        passport.save(images.to_pil(x[0]), path, PASSPORT)
    else:
        write = {"gif": images.write_gif, "mp4": images.write_mp4}[kind]
        write(x, path, scale=4, comment=passport.to_json(PASSPORT) if text is None else text)
    return path.read_bytes()


KINDS = ["png", "gif", pytest.param("mp4", marks=pytest.mark.skipif(not images.can_write_mp4(), reason="needs PyAV"))]


@pytest.fixture(scope="module", params=KINDS)
def content(request, tmp_path_factory) -> bytes:
    return written(request.param, tmp_path_factory.mktemp("small"))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes, size: int = 4) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + b"".join([head, *chunks, chunk(b"IEND", b"")])


def carrying(text: bytes) -> bytes:
    """A PNG with this text in the place of a passport."""
    return png(chunk(b"tEXt", b"ganlib\0" + text))


def box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + kind + data


FTYP = box(b"ftyp", b"isom")


def mp4(text: bytes, *others: bytes) -> bytes:
    comment = box(b"\xa9cmt", box(b"data", struct.pack(">II", 1, 0) + text))
    meta = box(b"meta", bytes(4) + box(b"hdlr", bytes(25)) + box(b"ilst", comment))
    return FTYP + b"".join(others) + box(b"moov", box(b"mvhd", bytes(100)) + box(b"udta", meta))


def gif(*blocks: bytes) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x80, 0, 0) + bytes(6) + b"".join(blocks) + b"\x3b"


def comment(text: bytes, size: int = 255) -> bytes:
    parts = [text[i:i + size] for i in range(0, len(text), size)]
    return b"\x21\xfe" + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def test_every_format_gives_the_passport_back(content, tmp_path):
    assert passport.read(content) == PASSPORT
    (tmp_path / "picture").write_bytes(content)
    assert passport.read(tmp_path / "picture") == passport.read(str(tmp_path / "picture")) == PASSPORT


def test_a_passport_tells_how_a_picture_was_made(model):
    model.revision = "a" * 40
    made = passport.of(model, "generate", seed=7, **{"class": "3"})
    assert list(made.items()) == [
        ("ganlib", __version__), ("tab", "generate"), ("model", "toy-gaussian"), ("revision", "a" * 40),
        ("weights_sha256", made["weights_sha256"]), ("seed", 7), ("class", "3")]
    assert len(made["weights_sha256"]) == 64


@pytest.mark.parametrize("name", ["ganlib", "tab", "model", "revision", "weights_sha256"])
def test_no_setting_takes_the_place_of_a_fact(name, model):
    with pytest.raises(ValueError, match=f"a setting cannot be named '{name}'"):
        passport.of(model, "generate", **{name: "x"})


def test_numbers_of_numpy_and_torch_become_ordinary_ones(model):
    made = passport.of(model, "generate", psi=numpy.float64(0.5), seed=numpy.int64(7), count=torch.tensor(3),
                       closed=numpy.bool_(True), at=[numpy.float32(0.25), 1])
    assert passport.read(carrying(passport.to_json(made).encode())) == made
    assert [made[name] for name in ("psi", "seed", "count", "closed", "at")] == [0.5, 7, 3, True, [0.25, 1]]
    assert passport.to_json({"ganlib": "1", "psi": numpy.float64(0.5)}) == '{"ganlib":"1","psi":0.5}'


def test_a_passport_is_compared_with_the_weights_at_hand(model):
    made, ours = passport.of(model, "generate"), passport.of(model, "generate")["weights_sha256"][:8]
    assert passport.compare(made, model) == f"The present weights ({ours}) are those that made the picture."
    assert passport.compare({**made, "weights_sha256": HASH}, model) == (
        f"The present weights ({ours}) are not those that made the picture (01234567).")
    for unknown in ({}, {"weights_sha256": None}, {"weights_sha256": "<b>"}, {"weights_sha256": HASH + "\n"}):
        assert passport.compare(unknown, model) == "The passport names no weights to compare with the present ones."


def test_pixels_are_kept_and_the_software_is_named(tmp_path):
    image = images.to_pil(torch.linspace(-1, 1, 16).view(1, 4, 4))
    passport.save(image, tmp_path / "a.png", PASSPORT)
    buffer = io.BytesIO()
    passport.save(image, buffer, PASSPORT)
    assert (tmp_path / "a.png").read_bytes() == buffer.getvalue()
    with Image.open(buffer) as found:
        assert found.tobytes() == image.tobytes()
        assert found.text == {"ganlib": JSON.decode(), "Software": f"ganlib {__version__}"}


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
def test_exiftool_shows_the_passport(content, tmp_path):
    (tmp_path / "picture").write_bytes(content)
    shown = json.loads(subprocess.run(["exiftool", "-json", tmp_path / "picture"], capture_output=True).stdout)[0]
    assert shown.get("Ganlib", shown.get("Comment")) == JSON.decode()
    assert "Warning" not in shown


def test_the_beginning_of_a_file_is_refused_or_has_the_whole_passport(content):
    end = content.rindex(JSON[-20:]) + 20
    for length in [*range(0, len(content), len(content) // 200), end - 1]:
        said = outcome(content[:length])
        assert said != "passport" or passport.read(content[:length]) == PASSPORT
        assert (length >= end) if said == "passport" else said in (
            "the file is no PNG, GIF or MP4", "the file is cut off or damaged", "the picture has no passport of ganlib")
    assert outcome(content[:-1]) == "passport"


def test_a_changed_text_in_a_png_is_never_a_passport(tmp_path):
    content = written("png", tmp_path)
    start = content.index(b"tEXtganlib") - 4
    for place in range(start, start + 12 + len(KEY) + len(JSON)):
        for flip in (1, 0x20, 0x80):
            changed = bytearray(content)
            changed[place] ^= flip
            assert outcome(bytes(changed)) in ("the file is cut off or damaged",
                                               "the picture has no passport of ganlib")


def test_a_file_with_wrong_bytes_is_refused_or_has_values_of_a_passport(content):
    chance = random.Random(0)
    for _ in range(300):
        changed = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(changed))] = chance.choice((0, 1, 8, 0x7F, 0xFF, chance.randrange(256)))
        if outcome(bytes(changed)) == "passport":
            found = passport.read(bytes(changed))
            assert found == PASSPORT or not content.startswith(b"\x89PNG")  # which alone has a checksum
            assert json.loads(passport.to_json(found)) == found


def outcome(data: bytes) -> str:
    """The sentence of a refusal, or "passport"."""
    try:
        assert passport.read(data)["ganlib"]
    except ValueError as error:
        sentence = str(error)
    else:
        sentence = "passport"
    assert "\n" not in sentence
    assert len(sentence) < 300
    return sentence


@pytest.mark.parametrize(("data", "sentence"), [
    (b"", "the file is no PNG, GIF or MP4"), (b"<svg>", "the file is no PNG"), (b"\xff\xd8\xff", "the file is no PNG"),
    (png(), "the picture has no passport"), (gif(), "the picture has no passport"),
    (gif(comment(b"Made with love")), "the picture has no passport"), (mp4(b"Made with love"), "has no passport"),
    (FTYP, "the picture has no passport"),
    (png(chunk(b"tEXt", b"Ganlib\0" + JSON)), "the picture has no passport"),
    (png(chunk(b"tEXt", b"ganlib")), "the picture has no passport"),
    (carrying(b""), "the passport is damaged"),
])
def test_a_file_without_a_passport_is_refused(data, sentence):
    assert sentence in outcome(data)


@pytest.mark.parametrize("data", [
    carrying(JSON), png(chunk(b"tEXt", b"other\0{}"), chunk(b"tEXt", b"ganlib\0" + JSON)),
    png(chunk(b"IDAT", b"x"), chunk(b"tEXt", b"ganlib\0" + JSON), size=2**31 - 1),  # pixels that nobody could hold
    png(chunk(b"tEXt", b"ganlib\0" + JSON), chunk(b"tEXt", b"ganlib\0{}")),
    gif(comment(JSON)), gif(comment(b"hello"), comment(JSON, 1)),
    gif(b"\x2c" + bytes(8) + b"\x81" + bytes(12) + b"\2\1x\0", comment(JSON)),  # after an image with its colours
    mp4(JSON), mp4(JSON, box(b"free", b"")), mp4(JSON, struct.pack(">I4sQ", 1, b"mdat", 17) + b"x"),
], ids=range(10))
def test_a_passport_is_found_wherever_it_may_stand(data):
    assert passport.read(data) == PASSPORT


BOMB = zlib.compress(bytes(10**6))


@pytest.mark.parametrize("data", [
    png(chunk(b"zTXt", b"ganlib\0\0" + BOMB)), png(chunk(b"iTXt", b"ganlib\0\1\0\0\0" + BOMB)),
    png(chunk(b"iCCP", b"ganlib\0\0" + BOMB))])
def test_what_is_compressed_stays_so(data, monkeypatch):
    monkeypatch.setattr(zlib, "decompress", None)
    monkeypatch.setattr(zlib, "decompressobj", None)
    assert outcome(data) == "the picture has no passport of ganlib"


@pytest.mark.parametrize("data", [
    carrying(JSON).replace(b"generate", b"interpol"),  # the checksum is of other bytes
    png(struct.pack(">I", 2**32 - 1) + b"tEXtganlib\0" + JSON), gif(b"\x22"), gif(b"\x21\xfe\xff"),
    mp4(JSON)[:-9], FTYP + b"\0", FTYP + struct.pack(">I4s", 7, b"moov"),
    FTYP + struct.pack(">I4sQ", 1, b"moov", 2**63), FTYP + struct.pack(">I4sQ", 1, b"moov", 8),
    FTYP + box(b"moov", struct.pack(">I4s", 2**31, b"udta")),
], ids=range(10))
def test_a_damaged_file_is_refused(data):
    assert outcome(data) == "the file is cut off or damaged"


@pytest.mark.parametrize("data", [
    png(*[chunk(b"tEXt", b"")] * 20), gif(*[comment(b"x" * 20, 1)] * 2), gif(*[comment(b"")] * 20)], ids=range(3))
def test_the_parts_of_a_file_are_limited(data, monkeypatch):
    assert outcome(data) == "the picture has no passport of ganlib"
    monkeypatch.setattr(passport, "MAX_PARTS", 15)
    assert outcome(data) == "the file is cut off or damaged"


def test_the_boxes_of_a_file_are_limited(monkeypatch):
    monkeypatch.setattr(passport, "MAX_PARTS", 15)
    assert outcome(mp4(JSON, *[box(b"free", b"")] * 10)) == "passport"
    assert outcome(mp4(JSON, *[box(b"free", b"")] * 15)) == "the picture has no passport of ganlib"


def test_a_file_that_is_too_large_or_cannot_be_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(passport, "MAX_BYTES", 2**20)
    (tmp_path / "large.png").write_bytes(carrying(JSON) + bytes(2**20))
    for file in (tmp_path / "large.png", (tmp_path / "large.png").read_bytes()):
        with pytest.raises(ValueError, match="the file is too large: it may have 1 MB"):
            passport.read(file)
    for name in ("missing.png", ".", "x" * 300, "a\0b"):
        with pytest.raises(ValueError, match="there is no file|cannot be read"):
            passport.read(tmp_path / name)


@pytest.mark.parametrize("file", [None, 5, bytearray(carrying(JSON)), io.BytesIO(carrying(JSON))])
def test_what_is_neither_a_path_nor_bytes_is_refused(file):
    with pytest.raises(ValueError, match="a file is given as its path or its bytes, not "):
        passport.read(file)


@pytest.mark.parametrize("text", [
    b"{", b"\xff", b'{"ganlib":"1","ganlib":"2"}', b'{"ganlib":"1","a":[{"b":1,"b":2}]}', '{"ganlib":"ü"}'.encode(),
    b"[" * 30_000, b'{"ganlib":' * 3_000, b'{"ganlib":"1","a":' + b"9" * 5_000 + b"}"], ids=range(8))
def test_what_is_not_json_is_refused(text):
    assert outcome(carrying(text)) == "the passport is damaged: it is not JSON as ganlib writes it"


@pytest.mark.parametrize(("values", "sentence"), [
    ([], "a passport is a table of values"), (7, "a table"), (None, "a table"), ({}, 'which has the key "ganlib"'),
    ({"ganlib": 1}, 'which has the key "ganlib"'), ({str(i): i for i in range(64)}, "65 values, more than 64"),
    ({"k" * 41: 1}, "key must be a text of at most 40"), ({"\ud800": 1}, "key must be a text of at most 40"),
    ({"a": {}}, "'a' must be a number, a short text or a short list of these, not {}"), ({"a": [[]]}, "not [[]]"),
    ({"a": [{"b": 1}]}, "'a' must be"), ({"a": list(range(65))}, "'a' must be"), ({"a": "x" * 4_097}, "'a' must be"),
    ({"a": ["x" * 4_097]}, "'a' must be"), ({"a": "\udfff"}, "'a' must be"), ({"a": 2**53 + 1}, "'a' must be"),
    ({"a": 10**400}, "'a' must be"), ({"a": "x" * 4_000, **{str(i): "x" * 4_000 for i in range(9)}}, "is too long"),
], ids=range(18))
def test_other_values_are_refused_in_one_sentence(values, sentence):
    values = {"ganlib": "1"} | values if isinstance(values, dict) and values else values
    assert sentence in outcome(carrying(json.dumps(values).encode()))


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(number):
    for value in (number, f"[1,{number}]"):
        assert "'a' must be a number" in outcome(carrying(f'{{"ganlib":"1","a":{value}}}'.encode()))


@pytest.mark.parametrize("state", [{"a": {}}, {"a": float("nan")}, {"a": (1, 2)}, {"a": torch.ones(1)}, {"a" * 41: 1}])
def test_a_passport_that_could_not_be_read_is_not_written(state, model, tmp_path):
    with pytest.raises(ValueError, match="a passport's "):
        passport.of(model, "generate", **state)
    with pytest.raises(ValueError, match="a passport's "):
        passport.save(Image.new("L", (4, 4)), tmp_path / "a.png", {"ganlib": "1", **state})
    with pytest.raises(ValueError, match=r"may have 32,768 characters, and this one has 4\d,"):
        passport.to_json({"ganlib": "1", **{str(i): "x" * 4_000 for i in range(10)}})
    assert not list(tmp_path.iterdir())


def test_a_models_name_may_be_any_text(model):
    for name in ("x" * 10**5, "\ud800", "<script>\n", ""):
        named = untrained("toy-gaussian")
        named.name = name
        made = passport.of(named, "generate")
        assert passport.read(carrying(passport.to_json(made).encode())) == made


def test_the_keyword_in_another_text_is_no_passport():
    text = PngInfo()
    text.add_text("Description", "ganlib\0" + JSON.decode())
    buffer = io.BytesIO()
    Image.new("L", (4, 4)).save(buffer, "PNG", pnginfo=text)
    assert outcome(buffer.getvalue()) == "the picture has no passport of ganlib"
