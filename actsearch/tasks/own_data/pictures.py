"""A picture's file as the pixels that a person would see, whatever mode it was saved in."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.tasks.own_data.faults import DataFault
from actsearch.tasks.splits import Array

if TYPE_CHECKING:
    from PIL.Image import Image

_FULL_16_BIT = 257  # 65,535 / 255: both are white


@dataclass
class Decoder:
    """Decodes the pictures of one data set, and remembers what had to be decided.

    Args:
        size: pictures become (3, size, size).
        background: a colour by name or as #rrggbb, which transparent parts are laid over.
    """

    size: int
    background: str
    _counts: Counter[str] = field(default_factory=Counter)
    _first: dict[str, str] = field(default_factory=dict)

    def __call__(self, content: bytes, shown: str) -> Array:
        """Pixels (3, size, size): 0 is black and 255 white, with fractions where the file has more than 8 bits.

        Numbers of 32 bits (modes I and F) have no white of their own and are taken as they are.

        Args:
            content: of the file.
            shown: its name, for notes.

        Raises:
            DataFault: if it cannot be decoded to its end.
        """
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(io.BytesIO(content)) as image:
                return self._pixels(image, shown)
        except UnidentifiedImageError:
            raise DataFault("cannot be read as a picture (unknown format); replace or remove it") from None
        except Exception as error:  # decoders of damaged files raise whatever they trip over
            raise DataFault(f"cannot be read as a picture ({error}); replace or remove it") from error

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided, with the number of pictures and the first of them.

        Raises:
            DataFault: if pictures with a white of their own stand beside ones without.
        """
        if 0 < self._counts[_NUMBERS] < self._counts[_ALL]:
            raise DataFault(
                f"{self._counts[_NUMBERS]} of {self._counts[_ALL]} pictures hold 32-bit numbers, the first is "
                f"{self._first[_NUMBERS]}, the others 8 or 16 bits, so that their brightness cannot be compared; "
                "convert them to one format"
            )
        said = {
            _PAGES: "have several pages or frames; only the first is read",
            _CLEAR: f"are transparent in places; they are laid over {self.background} (parameter `background`)",
            _NUMBERS: "hold 32-bit numbers, which are taken as they are",
            _TURNED: "are turned the way their EXIF orientation says",
        }
        return tuple(
            f"{self._counts[what]} pictures {words} (first: {self._first[what]})"
            for what, words in said.items()
            if self._counts[what]
        )

    def _note(self, what: str, shown: str) -> None:
        self._counts[what] += 1
        self._first.setdefault(what, shown)

    def _pixels(self, image: Image, shown: str) -> Array:
        from PIL import Image as Images
        from PIL import ImageOps

        self._note(_ALL, shown)
        if getattr(image, "n_frames", 1) > 1:
            self._note(_PAGES, shown)
            image.seek(0)
        image.load()
        upright = ImageOps.exif_transpose(image)
        if image.getexif().get(_ORIENTATION, 1) in range(2, 9):
            self._note(_TURNED, shown)
        if upright.mode.startswith("I;16") or upright.mode in ("I", "F"):
            grey = self._grey(upright, image.format, shown)
            small = Images.fromarray(grey).resize((self.size, self.size), Images.Resampling.BILINEAR)
            return np.repeat(np.asarray(small)[None], 3, axis=0)
        coloured = self._opaque(upright, shown).resize((self.size, self.size), Images.Resampling.BILINEAR)
        return np.asarray(coloured).transpose(2, 0, 1)

    def _grey(self, image: Image, file_format: str | None, shown: str) -> Array:
        """Pixels (H, W) as 32-bit floats."""
        values = np.asarray(image).astype(np.float32)
        is_16_bit = image.mode.startswith("I;16") or (image.mode == "I" and file_format in ("PNG", "PPM"))
        if not is_16_bit:
            self._note(_NUMBERS, shown)
            return values
        clear = image.info.get("transparency")
        grey = values / _FULL_16_BIT
        if isinstance(clear, int):
            self._note(_CLEAR, shown)
            red, green, blue = colour(self.background)
            grey[values == clear] = 0.299 * red + 0.587 * green + 0.114 * blue
        return grey

    def _opaque(self, image: Image, shown: str) -> Image:
        """The picture in RGB, transparent parts over the background."""
        from PIL import Image as Images

        if image.mode == "LAB":
            return _from_lab(image)
        if not image.has_transparency_data and image.mode not in ("La", "RGBa"):
            return image.convert("RGB")
        straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode)
        layer = (image.convert(straight) if straight else image).convert("RGBA")
        if layer.getchannel("A").getextrema() == (255, 255):
            return layer.convert("RGB")
        self._note(_CLEAR, shown)
        below = Images.new("RGBA", layer.size, (*colour(self.background), 255))
        return Images.alpha_composite(below, layer).convert("RGB")


_ALL, _PAGES, _CLEAR, _NUMBERS, _TURNED = "all", "pages", "clear", "numbers", "turned"
_ORIENTATION = 0x0112


def colour(name: str) -> tuple[int, int, int]:
    """Red, green and blue of a colour, each in [0, 255].

    Raises:
        InvalidRequest: if there is no such colour.
    """
    from PIL import ImageColor

    try:
        red, green, blue, *_ = ImageColor.getrgb(name)
    except ValueError:
        message = f"{name!r} is not a colour; write a name such as white or black, or #rrggbb"
        raise InvalidRequest(FieldProblem("background", message)) from None
    return red, green, blue


def _from_lab(image: Image) -> Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    changed = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if changed is None:
        raise ValueError("a picture in LAB could not be converted to RGB")
    return changed
