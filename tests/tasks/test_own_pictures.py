"""Pictures of every mode become the pixels that a person sees; folders are read as people arrange them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from actsearch.errors import InvalidRequest
from actsearch.tasks import get_task, load
from actsearch.tasks.own_data.faults import DataFault
from actsearch.tasks.own_data.images import part_of
from actsearch.tasks.own_data.pictures import Decoder

if TYPE_CHECKING:
    from conftest import OwnData

RAMP = np.linspace(0, 1, 64).reshape(8, 8)


def saved(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def decoded(content: bytes, background: str = "white") -> np.ndarray[Any, Any]:
    """(3, 8, 8), in [0, 255]."""
    return Decoder(8, background)(content, "a.png")


def disc(mode: str) -> Image.Image:
    """A black square on what is fully transparent (and black below)."""
    alpha = np.zeros((8, 8), np.uint8)
    alpha[2:6, 2:6] = 255
    image = Image.fromarray(np.dstack([np.zeros((8, 8, 3), np.uint8), alpha]))
    return image.convert(mode)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_shades(file_format: str) -> None:
    grey = np.round(RAMP * 65_535).astype(np.uint16)
    pixels = decoded(saved(Image.fromarray(grey), file_format))
    assert pixels.shape == (3, 8, 8)
    np.testing.assert_allclose(pixels, np.broadcast_to(grey / 257, (3, 8, 8)), atol=1e-3)


def test_dark_16_bit_grey_keeps_its_detail() -> None:
    """12 bits in 16: by 8 bits, 64 shades would be 5."""
    grey = np.round(RAMP * 1023).astype(np.uint16)
    assert len(np.unique(decoded(saved(Image.fromarray(grey))))) == 64


def test_big_endian_16_bit_grey() -> None:
    grey = np.round(RAMP * 65_535).astype(">u2")
    header = b"P5 8 8 65535\n"
    pixels = decoded(header + grey.tobytes())
    np.testing.assert_allclose(pixels[0], grey.astype(float) / 257, atol=1e-2)


@pytest.mark.parametrize(("dtype", "top"), [(np.int32, 3_000_000), (np.float32, 1.0)])
def test_32_bit_numbers_are_taken_as_they_are(dtype: type, top: float) -> None:
    decode = Decoder(8, "white")
    pixels = decode(saved(Image.fromarray((RAMP * top).astype(dtype)), "TIFF"), "a.tif")
    np.testing.assert_allclose(pixels[0], (RAMP * top).astype(dtype), rtol=1e-6)
    assert decode.notes == ("1 pictures hold 32-bit numbers, which are taken as they are (first: a.tif)",)


def test_32_bit_numbers_beside_pictures_are_refused() -> None:
    decode = Decoder(8, "white")
    decode(saved(Image.new("F", (8, 8), 0.5), "TIFF"), "f.tif")
    decode(saved(Image.new("L", (8, 8), 128)), "l.png")
    with pytest.raises(DataFault, match=r"1 of 2 pictures hold 32-bit numbers, the first is f\.tif"):
        _ = decode.notes


@pytest.mark.parametrize(("background", "shade"), [("white", 255), ("#808080", 128), ("black", 0)])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_show_the_background(mode: str, background: str, shade: int) -> None:
    pixels = decoded(saved(disc(mode)), background)
    expected = np.full((3, 8, 8), shade)
    expected[:, 2:6, 2:6] = 0
    np.testing.assert_array_equal(pixels, expected)


def test_half_transparent_is_half_of_each() -> None:
    pixels = decoded(saved(Image.new("RGBA", (8, 8), (255, 0, 0, 128))), "blue")
    np.testing.assert_allclose(pixels[:, 4, 4], [128, 0, 127], atol=1)


def test_a_palette_with_a_transparent_colour() -> None:
    image = Image.fromarray(np.eye(8, dtype=np.uint8)).convert("P")
    image.putpalette([255, 0, 0, 0, 0, 255] + [0] * 762)
    pixels = decoded(saved(image, transparency=0))
    assert pixels[:, 0, 0].tolist() == [0, 0, 255]
    assert pixels[:, 0, 1].tolist() == [255, 255, 255]
    opaque = decoded(saved(image))
    assert opaque[:, 0, 1].tolist() == [255, 0, 0]


@pytest.mark.parametrize(("mode", "clear"), [("L", 0), ("RGB", (0, 0, 0)), ("I;16", 0)])
def test_one_colour_may_be_transparent(mode: str, clear: Any) -> None:
    array = np.eye(8, dtype=np.uint16) * (65_535 if mode == "I;16" else 255)
    image = Image.fromarray(array) if mode == "I;16" else Image.fromarray(array.astype(np.uint8)).convert(mode)
    pixels = decoded(saved(image, transparency=clear), "#400000" if mode == "RGB" else "#404040")
    assert pixels[0, 0, 0] == 255
    assert abs(float(pixels[0, 0, 1]) - 64) <= 1


def test_cmyk_and_one_bit() -> None:
    cmyk = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    np.testing.assert_allclose(decoded(saved(cmyk, "TIFF"))[:, 0, 0], [0, 255, 255])
    np.testing.assert_allclose(decoded(saved(cmyk, "JPEG", quality=100))[:, 0, 0], [0, 255, 255], atol=4)
    bits = Image.fromarray(np.eye(8, dtype=np.uint8) * 255).convert("1")
    assert decoded(saved(bits))[0].tolist() == (np.eye(8) * 255).tolist()


def test_lab_is_what_it_shows() -> None:
    lab = Image.new("LAB", (8, 8), (255, 128, 128))  # lightness 100, no colour
    np.testing.assert_allclose(decoded(saved(lab, "TIFF"))[:, 0, 0], 255, atol=2)


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (7, 7)), (6, (0, 7)), (8, (7, 0))])
def test_exif_orientation_turns_the_picture(orientation: int, corner: tuple[int, int]) -> None:
    array = np.zeros((8, 8), np.uint8)
    array[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decoded(saved(Image.fromarray(array), exif=exif))[0][corner] == 255


@pytest.mark.parametrize("file_format", ["GIF", "TIFF", "PNG", "WEBP"])
def test_the_first_of_several_frames_is_read_and_said(file_format: str) -> None:
    first, second = Image.new("RGB", (8, 8), "white"), Image.new("RGB", (8, 8), "black")
    options = {"lossless": True} if file_format == "WEBP" else {}
    decode = Decoder(8, "white")
    pixels = decode(saved(first, file_format, save_all=True, append_images=[second], **options), "a/b.gif")
    assert pixels.min() == 255
    assert decode.notes == ("1 pictures have several pages or frames; only the first is read (first: a/b.gif)",)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF"])
def test_truncated_files_are_named(own: OwnData, file_format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    content = saved(Image.fromarray(noise), file_format)
    own.images("pets", {"cat": 12, "dog": 12})
    name = f"bad.{file_format.lower()}"
    (own.path / "pets" / "dog" / name).write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(InvalidRequest, match=f"pets/dog/{name}: cannot be read as a picture"):
        get_task("data:pets")


def test_the_background_is_a_parameter_and_notes_say_what_was_done(own: OwnData) -> None:
    own.images("pets", {"cat": 12})
    (own.path / "pets" / "clear").mkdir()
    for i in range(12):
        disc("RGBA").save(own.path / "pets" / "clear" / f"{i}.png")
    notes = get_task("data:pets").notes
    assert any("12 pictures are transparent in places; they are laid over white" in note for note in notes)
    assert not load("data:pets").train[0].equal(load("data:pets", {"background": "black"}).train[0])
    with pytest.raises(InvalidRequest) as caught:
        get_task("data:pets", {"background": "blurple"})
    assert caught.value.problems[0].field == "background"


# --- folders --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train", "train"), ("Training", "train"), ("TRAIN_SET", "train"), ("val", "validation"),
        ("Valid", "validation"),
        ("validation", "validation"), ("dev", "validation"), ("test", "test"), ("Testing", "test"),
        ("test-set", "test"),
        ("trains", None), ("tester", None), ("value", None), ("cat", None),
    ],
)  # fmt: skip
def test_names_of_parts(name: str, part: str | None) -> None:
    assert part_of(name) == part


def test_parts_by_any_usual_name(own: OwnData) -> None:
    for part, count in (("Training", 10), ("val", 4), ("TESTING", 5)):
        own.images(f"pets/{part}", {"cat": count, "dog": count})
    data = load("data:pets")
    assert [len(part[0]) for part in (data.train, data.validation, data.test)] == [20, 8, 10]


def test_pictures_in_nested_folders_belong_to_the_outer_class_or_the_inner(own: OwnData) -> None:
    own.images("plants/oak", {"young": 6, "old": 6})
    own.images("plants/elm", {"young": 6, "old": 6})
    assert load("data:plants").outputs == 2
    assert "4 folders lie in class folders" in " ".join(get_task("data:plants").notes)
    assert load("data:plants", {"class_folders": "inner"}).outputs == 4


def test_a_wrapping_folder_is_passed_and_said(own: OwnData) -> None:
    own.images("pets/PetImages", {"cat": 12, "dog": 12})
    (own.path / "pets" / "__MACOSX").mkdir()
    assert load("data:pets").outputs == 2
    assert "classes are the folders in pets/PetImages" in get_task("data:pets").notes


def test_a_class_may_be_called_train(own: OwnData) -> None:
    own.images("vehicles", {"car": 12, "train": 12, "bus": 12})
    assert load("data:vehicles").outputs == 3


def strange_part(path: Path, make: Callable[..., Path]) -> None:
    make("d/train", {"a": 6, "b": 6})
    make("d", {"readme": 2})


def two_of_one_part(path: Path, make: Callable[..., Path]) -> None:
    for part in ("train", "val", "validation"):
        make(f"d/{part}", {"a": 6, "b": 6})


def no_training_part(path: Path, make: Callable[..., Path]) -> None:
    for part in ("val", "test"):
        make(f"d/{part}", {"a": 6, "b": 6})


def part_without_classes(path: Path, make: Callable[..., Path]) -> None:
    make("d", {"train": 6, "test": 6})


def unlabelled_test(path: Path, make: Callable[..., Path]) -> None:
    make("d/train", {"a": 6, "b": 6})
    make("d", {"test": 6})


def parts_in_classes(path: Path, make: Callable[..., Path]) -> None:
    for label in ("a", "b"):
        make(f"d/{label}", {"train": 6, "test": 6})


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (strange_part, "folder 'readme' beside 'train' is not a part"),
        (two_of_one_part, "'val' and 'validation' are both the validation part"),
        (no_training_part, "none called train"),
        (part_without_classes, "'test', 'train' hold images without class folders"),
        (unlabelled_test, "folder 'test' beside 'train' holds no class folders"),
        (parts_in_classes, "d/a/test: a part inside a class folder"),
    ],
)
def test_folders_that_cannot_be_understood(own: OwnData, build: Callable[..., None], expected: str) -> None:
    build(own.path, own.images)
    with pytest.raises(InvalidRequest) as caught:
        get_task("data:d")
    assert expected in str(caught.value)


def test_files_that_are_not_used_are_said(own: OwnData) -> None:
    folder = own.images("pets", {"cat": 12, "dog": 12})
    (folder / "cat" / "notes.txt").write_text("x")
    (folder / "stray.png").write_bytes((folder / "cat" / "000.png").read_bytes())
    assert "2 files are not used (first: pets/stray.png)" in get_task("data:pets").notes


def test_arrow_images_are_decoded_alike(own: OwnData) -> None:
    grey = [np.full((8, 8), 600 * i, np.uint16) for i in range(24)]
    images = [{"bytes": saved(Image.fromarray(each)), "path": None} for each in grey]
    own.arrow("i", {"image": images, "label": [0, 1] * 12}, images=["image"], classes={"label": ["a", "b"]})
    train = load("data:i", {"image_size": 8}).train[0]
    assert len(train[:, 0, 0, 0].unique()) == len(train)
