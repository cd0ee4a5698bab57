"""Image files of all kinds."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from scaledis.core.errors import UserError
from scaledis.datasets._builders import pictures

GRAY = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16  # 0 to 65,520


def read(file: Path, side: int = 64, scale: bool = False, bits: int = 0) -> np.ndarray:
    image = pictures.read(file, side, scale, bits).pixels
    assert image.shape == (side, side, 3) and image.dtype == np.uint8
    return image


def wide() -> np.ndarray:
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = np.linspace(0, 250, 100, dtype=np.uint8)[None, :, None]
    return image


def test_the_central_square_is_resized(tmp_path):
    Image.fromarray(wide()).save(tmp_path / "wide.png")
    Image.fromarray(wide().transpose(1, 0, 2)).save(tmp_path / "high.png")
    center = Image.fromarray(wide()[:, 100:200]).resize((64, 64), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(read(tmp_path / "wide.png"), np.asarray(center))
    np.testing.assert_array_equal(read(tmp_path / "high.png"), np.asarray(center).transpose(1, 0, 2))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode(tmp_path, mode):
    Image.new(mode, (16, 20)).save(tmp_path / "image.jpg", "JPEG" if mode == "CMYK" else "PNG")
    read(tmp_path / "image.jpg")


@pytest.mark.parametrize("suffix", pictures.SUFFIXES)
def test_every_suffix(tmp_path, suffix):
    image = Image.new("1" if suffix == ".pbm" else "L", (64, 64), 255)
    image.save(tmp_path / f"image{suffix}", {".jfif": "JPEG", ".pnm": "PPM"}.get(suffix))
    assert (read(tmp_path / f"image{suffix}") == 255).all()


def test_the_first_frame(tmp_path):
    frames = [Image.new("L", (64, 64), color) for color in (200, 100)]
    for name in ("a.gif", "a.tiff"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert (read(tmp_path / name) == 200).all()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_gray_of_16_bits_is_scaled(tmp_path, suffix):
    if suffix == ".pgm":
        (tmp_path / "deep.pgm").write_bytes(b"P5 64 64 65535 " + GRAY.astype(">u2").tobytes())
    else:
        Image.fromarray(GRAY).save(tmp_path / f"deep{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"deep{suffix}")[..., 0], GRAY >> 8)


def png(pixels: np.ndarray, color: int, clear: bytes = b"") -> bytes:
    """A PNG file of 16-bit pixels [h, w, C] in a color type, with the chunk tRNS if it is not empty."""
    chunks = {b"IHDR": struct.pack(">IIBBBBB", *pixels.shape[1::-1], 16, color, 0, 0, 0), b"tRNS": clear}
    chunks[b"IDAT"] = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels))
    whole = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in {**chunks, b"IEND": b""}.items()
        if data or name == b"IEND"
    )
    return b"\x89PNG\r\n\x1a\n" + whole


def tiff(pixels: np.ndarray, **tags: int) -> bytes:
    """A TIFF file of one strip, [h, w, C], little endian; `tags` replace its own."""
    (height, width, channels), size = pixels.shape, 8 * pixels.itemsize
    own = {"ImageWidth": width, "ImageLength": height, "BitsPerSample": [size] * channels, "Compression": 1}
    own |= {"PhotometricInterpretation": 2 if channels > 1 else 1, "SamplesPerPixel": channels}
    content, file = io.BytesIO(), TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    for name, value in {
        **own,
        "RowsPerStrip": height,
        "StripByteCounts": pixels.nbytes,
        "StripOffsets": 0,
        **tags,
    }.items():
        file[pictures.TAGS[name]] = value
    content.write(b"II*\0\x08\0\0\0")
    file.save(content)
    return content.getvalue() + pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()


COLORS = np.random.default_rng(0).integers(0, 4096, (64, 64, 3), np.uint16)  # of a camera with 12 bits


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_whole_numbers_of_fewer_bits_keep_their_upper_8(tmp_path, bits):
    colors = COLORS >> 2 if bits == 10 else COLORS
    file, expected = tmp_path / "deep.png", (colors >> (bits - 8)).astype(np.uint8)
    for content, planes in [
        (png(colors[..., :1], 0), 1),
        (png(colors, 2), 3),
        (tiff(colors), 3),
        (tiff(colors[..., :1]), 1),
    ]:
        file.write_bytes(content)
        np.testing.assert_array_equal(read(file, bits=bits)[..., :planes], expected[..., :planes])
        known = colors[..., :planes].max() if planes == 1 or bits < 16 else colors.max() >> 8 << 8 | 255
        assert pictures.read(file, 64, False, bits).largest == known
    Image.fromarray(colors[..., 0].astype(np.int32)).save(tmp_path / "wide.tif")
    np.testing.assert_array_equal(read(tmp_path / "wide.tif", bits=bits)[..., 0], expected[..., 0])


@pytest.mark.parametrize(
    ("content", "bits", "message"),
    [
        (
            png(GRAY[..., None], 0),
            12,
            r"pixels: range is from 0 to 65520 \(uint16\), expected 0 to 4095 by data.bits=12, or",
        ),
        (png(16 * COLORS, 2), 12, "range is from .* to 65520 .*, expected 0 to 4095 by data.bits=12"),
        (png(np.dstack([COLORS, COLORS[..., 0]]), 6), 12, "the lower bits of its 16 cannot be read .PNG, RGBA."),
        (b"P6 64 64 65535 " + COLORS.astype(">u2").tobytes(), 12, "the lower bits of its 16 cannot be read .PPM, RGB."),
        (png(COLORS, 2, b"\0\0" * 3), 0, "its colors have 16 bits, and one of them is transparent"),
        (
            tiff(COLORS, PlanarConfiguration=2),
            0,
            "TIFF file of planes",
        ),
        (tiff(COLORS[..., :1], PhotometricInterpretation=0), 0, "TIFF file of planes, negatives or signed bytes"),
        (tiff(np.zeros((64, 64, 1), np.uint8), SampleFormat=2), 0, "TIFF file of planes, negatives or signed bytes"),
    ],
)
def test_what_would_become_another_picture_is_refused(tmp_path, content, bits, message):
    (tmp_path / "deep.png").write_bytes(content)
    with pytest.raises(UserError, match=f"deep.png: .*{message}"):
        read(tmp_path / "deep.png", bits=bits)


@pytest.mark.parametrize(
    ("content", "largest"),
    [
        (png(GRAY[..., None], 0), 65_520),
        (png(COLORS, 2), 4_095),
        (png(np.dstack([COLORS, 65_535 + 0 * COLORS[..., 0]]), 6), 4_095),  # not that of the transparency
        (b"P6 64 64 65535 " + COLORS.astype(">u2").tobytes(), 4_351),  # Pillow rounds 15.9 to 16
        (b"P5 64 64 4095 " + COLORS[..., 0].astype(">u2").tobytes(), 65_535),  # the file says its own range
        (b"P5 64 64 255 " + b"a" * 4096, -1),
    ],
)
def test_the_largest_of_16_bits_is_known(tmp_path, content, largest):
    (tmp_path / "deep.png").write_bytes(content)
    assert pictures.read(tmp_path / "deep.png", 16, False).largest == largest


def test_a_transparent_gray_of_16_bits_is_put_on_white(tmp_path):
    (tmp_path / "clear.png").write_bytes(png(GRAY[..., None], 0, b"\x10\x00"))
    np.testing.assert_array_equal(read(tmp_path / "clear.png")[..., 0], np.where(GRAY == 0x1000, 255, GRAY >> 8))


@pytest.mark.parametrize(("kind", "mode"), [(np.float32, "F"), (np.int32, "I")])
def test_32_bits_are_refused_or_scaled(tmp_path, kind, mode):
    Image.fromarray((GRAY >> 8 > 100).astype(kind)).save(tmp_path / "raw.tif")
    with pytest.raises(UserError, match=f"raw.tif: its pixels are 32-bit numbers .mode {mode}.; save them as 8 or 16"):
        read(tmp_path / "raw.tif")
    np.testing.assert_array_equal(read(tmp_path / "raw.tif", scale=True)[..., 0], 255 * (GRAY >> 8 > 100))
    Image.fromarray(GRAY.astype(kind)).save(tmp_path / "raw.tif")
    with pytest.raises(UserError, match="raw.tif: pixels: range is from 0 to 65520 .*, expected 0 to 255"):
        read(tmp_path / "raw.tif", scale=True)


@pytest.mark.parametrize(("alpha", "expected"), [(0, 255), (255, 40), (51, 212)])  # 40 / 5 + 255 * 4 / 5
def test_transparency_is_put_on_white(tmp_path, alpha, expected):
    Image.new("RGBA", (64, 64), (40, 40, 40, alpha)).save(tmp_path / "clear.png")
    Image.new("LA", (64, 64), (40, alpha)).save(tmp_path / "gray.png")
    palette = Image.new("P", (64, 64))
    palette.putpalette([40, 40, 40])
    palette.save(tmp_path / "palette.png", transparency=bytes([alpha]))
    for name in ("clear", "gray", "palette"):
        assert (read(tmp_path / f"{name}.png") == expected).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(tmp_path, orientation):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(image).save(tmp_path / "turned.png", exif=exif)
    upright = {  # as the EXIF standard says where row 0 and column 0 of the file are in the scene
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: image.transpose(1, 0, 2),
        6: np.rot90(image, -1),
        7: image[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(image),
    }
    np.testing.assert_array_equal(read(tmp_path / "turned.png"), upright[orientation])


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it finds
def test_a_broken_exif_block_does_not_stop_an_image(tmp_path):
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[274], exif[306], exif[33434] = 6, "2020:01:01", 0.5
    whole = exif.tobytes()
    for trial in range(200):
        block = bytearray(whole)
        for place in rng.integers(6, len(block), 4):
            block[place] = rng.integers(256)
        if trial % 4 == 0:
            del block[rng.integers(6, len(block)) :]
        file = io.BytesIO()
        Image.new("RGB", (16, 16), "white").save(file, "JPEG", exif=bytes(block))
        (tmp_path / "exif.jpg").write_bytes(file.getvalue())
        assert (read(tmp_path / "exif.jpg") == 255).all()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [7_072, 13_000, 40_000])
def test_a_huge_image_is_refused_by_its_header(tmp_path, side):
    (tmp_path / "huge.pgm").write_bytes(b"P5 %d %d 255 " % (side, side))  # to decode it would fail: it has no pixels
    with pytest.raises(UserError, match=f"huge.pgm: {side}x{side} is more than 50,000,000 pixels|exceeds limit"):
        read(tmp_path / "huge.pgm")


def test_a_large_image_is_read(tmp_path):
    Image.new("L", (7_000, 7_000), 90).save(tmp_path / "large.png")
    assert (read(tmp_path / "large.png") == 90).all()


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it finds
@pytest.mark.parametrize("suffix", pictures.SUFFIXES)
def test_a_file_damaged_anywhere_is_read_or_named(tmp_path, suffix):
    rng, file = np.random.default_rng(0), tmp_path / f"image{suffix}"
    image = Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8))
    image.convert("1" if suffix == ".pbm" else "RGB").save(file, {".jfif": "JPEG", ".pnm": "PPM"}.get(suffix))
    whole, errors = file.read_bytes(), 0
    for _ in range(40):
        content = bytearray(whole[: rng.integers(1, 2 * len(whole))])
        content[rng.integers(min(len(content), 100))] = rng.integers(256)
        file.write_bytes(content)
        try:
            read(file)
        except UserError as error:
            errors += str(error).startswith(f"{file}: ")
    assert errors > 10
