"""Rendered text: lines of words, numbers and codes in many fonts, as a camera or a scanner might give them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

__all__ = ["Line", "background", "degraded", "draw_text", "line", "phrase", "pixels"]

_SENTENCES = Path(__file__).parents[1] / "sentences.txt"
_STYLES = ("", "-Bold", "-Oblique", "-BoldOblique", "-Italic", "-BoldItalic")
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
_CONTRAST = 90  # of 255, between ink and paper


@dataclass(frozen=True)
class Line:
    image: Image.Image
    text: str


@cache
def _words() -> list[str]:
    text = _SENTENCES.read_text(encoding="utf-8")
    return sorted({word.strip(".,;:!?\"'()") for word in text.split()} - {""})


@cache
def _fonts() -> list[Path]:
    import matplotlib as mpl

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    families = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono")
    named = [folder / f"{family}{style}.ttf" for family in families for style in _STYLES]
    return [
        path for path in (*named, folder / "STIXGeneral.ttf", folder / "STIXGeneralBol.ttf") if path.exists()
    ]


def phrase(random: np.random.Generator) -> str:
    """Words, a number or a code; without characters that many fonts draw alike."""
    match int(random.integers(5)):
        case 0:
            return f"{random.integers(1, 10_000):,}.{random.integers(100):02d}"
        case 1:
            letters = "".join(random.choice(list(_LETTERS), 3))
            return f"{letters}-{random.integers(1000, 100_000)}"
        case 2:
            day, month, year = random.integers(1, 29), random.integers(1, 13), random.integers(1950, 2050)
            return f"{year}-{month:02d}-{day:02d}"
        case _:
            chosen = random.choice(_words(), size=int(random.integers(1, 4)))
            text = " ".join(chosen)
            return text.upper() if random.random() < 0.2 else text


def _colours(random: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ink and paper."""
    while True:
        ink, paper = random.integers(0, 256, 3), random.integers(0, 256, 3)
        if abs(float(ink.mean()) - float(paper.mean())) >= _CONTRAST:
            return tuple(map(int, ink)), tuple(map(int, paper))


def background(random: np.random.Generator, size: tuple[int, int], paper: tuple[int, ...]) -> Image.Image:
    """Paper of one colour with a slope of light over it."""
    width, height = size
    slope = np.linspace(-1, 1, width)[None, :] * random.uniform(-20, 20)
    slope = slope + np.linspace(-1, 1, height)[:, None] * random.uniform(-20, 20)
    pixels = np.asarray(paper, np.float32) + slope[:, :, None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def draw_text(random: np.random.Generator, text: str, size: int) -> tuple[Image.Image, tuple[int, int]]:
    """Mask of the inked pixels (L), turned by up to two degrees, and the size of the text's box."""
    fonts = _fonts()
    font = ImageFont.truetype(fonts[random.integers(len(fonts))], size)
    left, top, right, bottom = (int(v) for v in font.getbbox(text))
    margin = max(2, size // 6)
    mask = Image.new("L", (right - left + 2 * margin, bottom - top + 2 * margin))
    ImageDraw.Draw(mask).text((margin - left, margin - top), text, fill=255, font=font)
    turned = mask.rotate(random.uniform(-2, 2), Image.Resampling.BICUBIC, expand=True)
    return turned, turned.size


def degraded(random: np.random.Generator, image: Image.Image, strength: float = 1.0) -> Image.Image:
    """Blurred, made smaller and larger again, and noisy, each by chance."""
    if random.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.6) * strength))
    if random.random() < 0.5:
        part = random.uniform(0.3, 0.8)
        small = (max(8, int(image.width * part)), max(8, int(image.height * part)))
        image = image.resize(small, Image.Resampling.BILINEAR).resize(image.size, Image.Resampling.BICUBIC)
    pixels = np.asarray(image, np.float32)
    noisy = pixels + random.normal(0, random.uniform(0, 22) * strength, pixels.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def line(random: np.random.Generator) -> Line:
    """A cut-out line as a detector hands it to a recognizer."""
    text = phrase(random)
    ink, paper = _colours(random)
    mask, size = draw_text(random, text, int(random.integers(14, 64)))
    image = background(random, size, paper)
    image.paste(Image.new("RGB", size, ink), mask=mask)
    return Line(degraded(random, image), text)


def pixels(image: Image.Image) -> NDArray[np.float32]:
    """(3, H, W) in BGR from -1 to 1, as PaddleOCR feeds its recognizer and classifier."""
    array = np.asarray(image.convert("RGB"), np.float32)[:, :, ::-1]
    return (array.transpose(2, 0, 1) / 127.5 - 1.0).astype(np.float32)
