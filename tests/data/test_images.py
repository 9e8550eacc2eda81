"""Pictures: every mode as a person would see it, every fault listed at once, nothing checked twice."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from src.base.errors import UserError
from src.data import images
from tests.conftest import picture, snapshot


def rgb_of(image: Image.Image, **options) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, **{"format": "PNG", **options})
    buffer.seek(0)
    return np.asarray(images.to_rgb(Image.open(buffer)))


RED = (200, 30, 10)


class TestModes:
    def test_rgb_is_itself(self):
        image = picture("red", 0)
        assert (rgb_of(image) == np.asarray(image)).all()

    def test_grey(self):
        assert rgb_of(Image.new("L", (2, 2), 90))[0, 0].tolist() == [90, 90, 90]

    def test_one_bit(self):
        assert rgb_of(Image.new("1", (2, 2), 1))[0, 0].tolist() == [255, 255, 255]

    def test_palette(self):
        image = Image.new("P", (2, 2), 1)
        image.putpalette([0, 0, 0, *RED])
        assert rgb_of(image)[0, 0].tolist() == list(RED)

    def test_a_palette_with_a_transparent_entry_is_on_white(self):
        image = Image.new("P", (2, 2), 1)
        image.putpalette([0, 0, 0, *RED])
        image.putpixel((0, 0), 0)
        rgb = rgb_of(image, transparency=0)
        assert rgb[0, 0].tolist() == [255, 255, 255]
        assert rgb[1, 1].tolist() == list(RED)

    def test_alpha_is_on_white(self):
        assert rgb_of(Image.new("RGBA", (2, 2), (*RED, 0)))[0, 0].tolist() == [255, 255, 255]
        assert rgb_of(Image.new("RGBA", (2, 2), (0, 0, 0, 128)))[0, 0].tolist() == [127, 127, 127]
        assert rgb_of(Image.new("LA", (2, 2), (0, 0)))[0, 0].tolist() == [255, 255, 255]

    def test_sixteen_bit_grey_is_scaled_and_not_cut_off(self):
        grey = Image.fromarray(np.array([[0, 32896, 65535]], np.uint16))
        assert rgb_of(grey)[0, :, 0].tolist() == [0, 128, 255]

    def test_cmyk(self):
        rgb = rgb_of(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), format="JPEG", quality=95)
        assert np.abs(rgb[8, 8].astype(int) - [255, 0, 0]).max() <= 4

    def test_exif_turns_it_upright(self):
        image = Image.new("RGB", (20, 10), RED)
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was held on its side
        assert rgb_of(image, format="JPEG", exif=exif).shape == (20, 10, 3)

    def test_floating_point_is_refused(self, tmp_path):
        Image.new("F", (2, 2), 0.5).save(tmp_path / "a.tiff")
        assert "floating-point" in images.explain_fault((tmp_path / "a.tiff").read_bytes())


def png() -> bytes:
    buffer = io.BytesIO()
    picture("green", 1, (40, 40)).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg() -> bytes:
    buffer = io.BytesIO()
    picture("green", 1, (40, 40)).save(buffer, "JPEG")
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 400 million pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", 9)
        + b"IDAT"
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"<html>404</html>", "is not an image"),
        (png()[:-300], "cannot be read to its end"),
        (png()[:-1], "cannot be read to its end"),
        (png()[:-12], "cannot be read to its end"),
        (png()[:200] + b"\0" + png()[201:], "cannot be read to its end"),
        (jpeg()[: len(jpeg()) // 2], "cannot be read to its end"),
        (bomb(), "cannot be read to its end"),
    ],
)
def test_a_fault_is_said(data, said):
    assert said in images.explain_fault(data)


@pytest.mark.parametrize("data", [png(), jpeg()])
def test_a_whole_picture_has_no_fault(data):
    assert images.explain_fault(data) is None


class TestCheck:
    @pytest.fixture
    def paths(self, tmp_path):
        paths = [tmp_path / f"{i}.png" for i in range(30)]
        for i, path in enumerate(paths):
            picture("red", i).save(path)
        return paths

    def test_remembers_and_does_not_decode_again(self, paths, tmp_path, monkeypatch):
        record = tmp_path / "submissions" / "images.parquet"
        first = images.check(range(30), paths, record)
        assert first["width"].tolist() == [20] * 30
        before = snapshot(record.parent)
        monkeypatch.setattr(images, "explain_fault", lambda data: pytest.fail("decoded again"))
        assert images.check(range(30), paths, record).equals(first)
        assert snapshot(record.parent) == before

    def test_a_changed_picture_is_decoded_again(self, paths, tmp_path):
        record = tmp_path / "images.parquet"
        first = images.check(range(30), paths, record)
        picture("red", 99).save(paths[3])
        second = images.check(range(30), paths, record)
        assert (first["sha256"] != second["sha256"]).tolist() == [i == 3 for i in range(30)]

    def test_all_faults_are_listed_by_id_and_path(self, paths, tmp_path):
        record = tmp_path / "images.parquet"
        paths[0].unlink()
        paths[1].write_bytes(b"")
        paths[2].write_bytes(png()[:-300])
        with pytest.raises(UserError) as error:
            images.check([f"id{i}" for i in range(30)], paths, record)
        assert "3 images cannot be used" in str(error.value)
        assert f"id0: {paths[0]} is missing" in str(error.value)
        assert f"id1: {paths[1]} is empty" in str(error.value)
        assert f"id2: {paths[2]} cannot be read to its end" in str(error.value)
        assert not record.exists()

    def test_more_than_twenty_are_counted(self, paths, tmp_path):
        for path in paths[:25]:
            path.unlink()
        with pytest.raises(UserError) as error:
            images.check(range(30), paths, tmp_path / "images.parquet")
        assert str(error.value).count("is missing") == 20
        assert "and 5 more" in str(error.value)

    def test_a_damaged_record_is_made_anew(self, paths, tmp_path):
        record = tmp_path / "images.parquet"
        record.write_bytes(b"half")
        assert len(images.check(range(30), paths, record)) == 30


def saved(image: Image.Image, format: str, **options) -> bytearray:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return bytearray(buffer.getvalue())


def smooth(size=(68, 45)) -> Image.Image:
    """As a photograph is: what codecs do to neighbouring pixels shows."""
    return picture("green", 3, (9, 7)).resize(size, Image.Resampling.BICUBIC)


class TestDecode:
    """Native code where it reads what Pillow reads, Pillow elsewhere; the same pixels always."""

    @pytest.mark.parametrize("format", ["JPEG", "PNG"])
    @pytest.mark.parametrize("orientation", range(10))  # 0 and 9 mean nothing
    def test_every_orientation(self, format, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        self.same(saved(smooth(), format, exif=exif))

    @pytest.mark.parametrize(
        ("options", "mode", "plain"),
        [
            ({"format": "JPEG"}, "RGB", True),
            ({"format": "JPEG", "progressive": True}, "RGB", True),
            ({"format": "JPEG", "subsampling": 0, "quality": 95}, "RGB", True),
            ({"format": "JPEG", "keep_rgb": True}, "RGB", True),
            ({"format": "JPEG"}, "L", True),
            ({"format": "JPEG"}, "CMYK", False),
            ({"format": "JPEG", "xmp": b"<x tiff:Orientation='6'/>"}, "RGB", False),
            ({"format": "PNG"}, "RGB", True),
            ({"format": "PNG"}, "L", True),
            ({"format": "PNG"}, "P", True),
            ({"format": "PNG"}, "1", False),
            ({"format": "PNG"}, "RGBA", False),
            ({"format": "PNG"}, "LA", False),
            ({"format": "PNG", "transparency": (1, 2, 3)}, "RGB", False),
            ({"format": "WEBP", "lossless": True}, "RGB", False),
            ({"format": "BMP"}, "RGB", False),
            ({"format": "TIFF"}, "RGB", False),
            ({"format": "GIF"}, "RGB", False),
        ],
    )
    def test_every_kind(self, options, mode, plain):
        data = saved(smooth().convert(mode), **options)
        assert images.is_plain(data) == plain
        self.same(data)

    def test_sixteen_bits(self):
        data = saved(Image.fromarray(np.arange(0, 65000, 1000, dtype=np.uint16).reshape(5, 13)), "PNG")
        assert not images.is_plain(data)
        self.same(data)

    def test_a_file_that_native_code_does_not_like_is_pillows_to_judge(self):
        data = saved(smooth(), "PNG")
        data[data.find(b"IDAT") + 20] ^= 255
        with pytest.raises((OSError, SyntaxError)):
            images.decode(data)

    def same(self, data: bytearray) -> None:
        expected = np.asarray(images.to_rgb(Image.open(io.BytesIO(data))))
        decoded = images.decode(data)
        assert decoded.shape == expected.shape
        assert (decoded == expected).all()
        assert decoded.flags.c_contiguous


@pytest.mark.parametrize("ending", images.ENDINGS)
def test_what_folders_are_searched_for_can_be_decoded(tmp_path, ending):
    path = tmp_path / f"seed{ending.upper()}"
    Image.new("L" if ending == ".pgm" else "RGB", (12, 9), 130).save(path)
    assert images.is_picture(path.name)
    assert images.explain_fault(path.read_bytes()) is None
    assert images.decode(bytearray(path.read_bytes())).shape == (9, 12, 3)


def test_what_is_no_picture_or_hidden_is_not_looked_at():
    assert not any(map(images.is_picture, ("seed.txt", "jpg", "seed.jpg.bak")))
    assert images.is_hidden(".DS_Store")
    assert images.is_hidden("__MACOSX")
    assert not images.is_hidden("seed.jpg")
