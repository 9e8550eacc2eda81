"""Pictures: every mode as a person would see it, every fault listed at once, nothing checked twice."""

import hashlib
import io
import re
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from src.base.errors import UserError
from src.data import images
from src.data.png import START
from src.data.record import RECORD, check_images, identity
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
        (bomb(), "has 20000 x 20000 pixels, and 178,956,970 are read at most: save it smaller, or as a JPEG"),
    ],
)
def test_a_fault_is_said(data, said):
    assert said in images.explain_fault(data)


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_what_is_left_of_a_cut_picture_is_a_fault_wherever_it_ends(format):
    buffer = io.BytesIO()
    picture("red", 0).save(buffer, format)
    for end in range(1, 40):
        with pytest.raises((OSError, SyntaxError, ValueError)):
            images.decode(bytearray(buffer.getvalue()[:end]))


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
        first = check_images(range(30), paths, record)
        assert first["width"].tolist() == [20] * 30
        before = snapshot(record.parent)
        monkeypatch.setattr(images, "explain_fault", lambda data: pytest.fail("decoded again"))
        assert check_images(range(30), paths, record).equals(first)
        assert snapshot(record.parent) == before

    def test_a_changed_picture_is_decoded_again(self, paths, tmp_path):
        record = tmp_path / "images.parquet"
        first = check_images(range(30), paths, record)
        picture("red", 99).save(paths[3])
        second = check_images(range(30), paths, record)
        assert (first["sha256"] != second["sha256"]).tolist() == [i == 3 for i in range(30)]

    def test_all_faults_are_listed_by_id_and_path(self, paths, tmp_path):
        record = tmp_path / "images.parquet"
        paths[0].unlink()
        paths[1].write_bytes(b"")
        paths[2].write_bytes(png()[:-300])
        with pytest.raises(UserError) as error:
            check_images([f"id{i}" for i in range(30)], paths, record)
        assert "3 images cannot be used" in str(error.value)
        assert f"id0: {paths[0]} is missing" in str(error.value)
        assert f"id1: {paths[1]} is empty" in str(error.value)
        assert f"id2: {paths[2]} cannot be read to its end" in str(error.value)
        assert not record.exists()

    def test_more_than_twenty_are_counted(self, paths, tmp_path):
        for path in paths[:25]:
            path.unlink()
        with pytest.raises(UserError) as error:
            check_images(range(30), paths, tmp_path / "images.parquet")
        assert str(error.value).count("is missing") == 20
        assert "and 5 more" in str(error.value)

    def test_a_record_of_an_earlier_version_is_completed_and_names_the_same(self, paths, tmp_path):
        record = tmp_path / "images.parquet"
        first = check_images(range(30), paths, record)
        first[RECORD].to_parquet(record)
        assert check_images(range(30), paths, record).equals(first)

    def test_a_damaged_record_is_made_anew(self, paths, tmp_path):
        record = tmp_path / "images.parquet"
        record.write_bytes(b"half")
        assert len(check_images(range(30), paths, record)) == 30


def saved(image: Image.Image, format: str, **options) -> bytearray:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return bytearray(buffer.getvalue())


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def segment(content: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content


def turned(where: str, plain: dict[str, bytes]) -> bytes:
    """A PNG or JPEG with orientation 6 in a place that not every decoder looks at."""
    exif = Image.Exif()
    exif[0x0112] = 6
    short = exif.tobytes()  # begins with Exif
    long = b"MM\0*" + struct.pack(">IHHHIII", 8, 1, 0x0112, 4, 1, 6, 0)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"/>'
    png, jpeg = plain["PNG"], plain["JPEG"]
    text = f"\nexif\n{len(short):8}\n{short.hex()}\n".encode()
    frame = jpeg.index(b"\xff\xc0")
    behind = frame + 2 + int.from_bytes(jpeg[frame + 2 : frame + 4])
    return {
        "png_text": png[:33] + chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)) + png[33:],
        "png_xmp": png[:33] + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp) + png[33:],
        "png_exif_behind": png[:-12] + chunk(b"eXIf", short.removeprefix(b"Exif\0\0")) + png[-12:],
        "png_exif_long": png[:33] + chunk(b"eXIf", long) + png[33:],
        "jpeg_long": jpeg[:2] + segment(b"Exif\0\0" + long) + jpeg[2:],
        "jpeg_behind": jpeg[:behind] + segment(b"http://ns.adobe.com/xap/1.0/\0" + xmp) + jpeg[behind:],
    }[where]


class TestLarge:
    """Pictures of more pixels than are decoded whole."""

    @pytest.fixture(autouse=True)
    def small_limit(self, monkeypatch):
        monkeypatch.setattr(images, "LARGEST", 3_000)

    @pytest.mark.parametrize(("size", "read"), [((68, 44), (68, 44)), ((80, 50), (40, 25)), ((160, 80), (40, 20))])
    def test_a_jpeg_is_decoded_at_a_part_of_its_size(self, size, read):
        data = saved(smooth(size), "JPEG")
        assert images.explain_fault(bytes(data)) is None
        assert images.decode(data).shape == (*read[::-1], 3)

    @pytest.mark.parametrize(("size", "format"), [((80, 50), "PNG"), ((80, 50), "TIFF"), ((600, 400), "JPEG")])
    def test_what_cannot_be_is_refused_with_what_to_do(self, size, format):
        data = saved(smooth(size), format)
        assert f"has {size[0]} x {size[1]} pixels, and 3,000 are read" in images.explain_fault(bytes(data))
        with pytest.raises(images.TooLarge):
            images.decode(data)

    @pytest.mark.parametrize(("size", "format"), [((80, 50), "PNG"), ((80, 50), "TIFF"), ((600, 400), "JPEG")])
    def test_the_setting_that_is_named_allows_it(self, size, format, monkeypatch):
        data = saved(smooth(size), format)
        (needed,) = re.findall(r"MAX_PIXELS=(\d+)", images.explain_fault(bytes(data)))
        monkeypatch.setenv("MAX_PIXELS", needed)
        assert images.explain_fault(bytes(data)) is None
        part = 8 if format == "JPEG" else 1
        assert images.decode(data).shape == (size[1] // part, size[0] // part, 3)
        monkeypatch.setenv("MAX_PIXELS", "many")
        with pytest.raises(UserError, match="MAX_PIXELS is 'many'"):
            images.decode(data)

    def test_the_setting_changes_no_picture_that_is_read_without_it(self, monkeypatch):
        data = saved(smooth((160, 80)), "JPEG")
        before = images.decode(data)
        monkeypatch.setenv("MAX_PIXELS", "1000000")
        assert np.array_equal(images.decode(data), before)

    def test_one_in_deep_colours_is_refused_before_it_is_decoded(self, monkeypatch):
        header = struct.pack(">IIBBBBB", 3000, 2, 16, 2, 0, 0, 0)
        data = START + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(36_002)))
        monkeypatch.setattr(images.png, "deep_colours", None)
        with pytest.raises(images.TooLarge):
            images.decode(bytearray(data + chunk(b"IEND", b"")), 4095)


class TestDeep:
    """Pictures of more than 8 bits, whose files do not say which value is white."""

    def grey(self, *values) -> bytearray:
        return saved(Image.fromarray(np.array([values], np.uint16)), "PNG")

    def test_white_is_what_a_config_says(self):
        data = self.grey(0, 2048, 4095, 60000)
        assert images.decode(data, 4095)[0, :, 0].tolist() == [0, 128, 255, 255]
        assert images.decode(data)[0, :, 0].tolist() == [0, 8, 16, 233]

    def test_colours_too(self):
        rows = b"\0" + struct.pack(">6H", 4095, 2048, 0, 0, 1024, 4095)
        header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
        data = bytearray(START + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
        assert images.greatest(data) == 4095
        assert images.decode(data, 4095)[0].tolist() == [[255, 128, 0], [0, 64, 255]]
        assert images.decode(data)[0].tolist() == [[15, 8, 0], [0, 4, 15]]  # as Pillow has it

    @pytest.mark.parametrize(
        ("top", "white"), [(0, 65535), (1, 1), (255, 255), (256, 511), (4095, 4095), (40000, 65535)]
    )
    def test_white_takes_as_many_bits_as_the_greatest_value(self, top, white):
        assert images.white_over(top) == white

    def test_another_white_is_another_picture_and_8_bits_have_none(self, tmp_path):
        paths = [tmp_path / "deep.png", tmp_path / "plain.png"]
        paths[0].write_bytes(self.grey(0, 4095))
        picture("red", 0).save(paths[1])
        usual, other, again = (check_images("ab", paths, tmp_path / "r", white) for white in (65535, 4095, 65535))
        assert usual["sha256"][0] == hashlib.sha256(paths[0].read_bytes()).hexdigest()
        assert (usual["sha256"] != other["sha256"]).tolist() == [True, False]
        assert again.equals(usual)
        assert usual["top"].tolist() == [4095, 0]


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

    @pytest.mark.parametrize(
        "turn", ["png_text", "png_xmp", "png_exif_behind", "png_exif_long", "jpeg_long", "jpeg_behind"]
    )
    def test_an_orientation_is_found_where_pillow_finds_it(self, turn):
        plain = {kind: bytes(saved(smooth(), kind)) for kind in ("PNG", "JPEG")}
        data = bytearray(turned(turn, plain))
        assert not images.is_plain(data)
        assert images.decode(data).shape == (68, 45, 3)
        self.same(data)
        overlooked = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        is_changed = identity(bytes(data), images.WHITE) != hashlib.sha256(data).hexdigest()
        assert is_changed == (overlooked.shape != (68, 45, 3))  # the pixels that it had before are another picture

    @pytest.mark.parametrize("format", ["PNG", "JPEG"])
    def test_a_picture_keeps_its_name_where_its_pixels_are_what_they_were(self, format):
        exif = Image.Exif()
        exif[0x0112] = 6
        for options in ({}, {"exif": exif}, {"exif": exif, "comment": b"Orientation"}):
            data = bytes(saved(smooth(), format, **options))
            assert identity(data, images.WHITE) == hashlib.sha256(data).hexdigest()

    def test_a_damaged_text_does_not_make_a_png_unreadable(self):
        whole, bad = bytes(saved(smooth(), "PNG")), bytearray(chunk(b"tEXt", b"Comment\0seed"))
        bad[-1] ^= 1
        data = whole[:33] + bytes(bad) + whole[33:]
        assert images.explain_fault(data) is None
        assert (images.decode(bytearray(data)) == images.decode(bytearray(whole))).all()
        grey = bytes(saved(smooth().convert("LA"), "PNG"))
        data = grey[:33] + bytes(bad) + grey[33:]
        assert (images.decode(bytearray(data)) == images.decode(bytearray(grey))).all()

    @pytest.mark.parametrize("depth", [8, 16])
    @pytest.mark.parametrize("fault", ["cut", "byte"])
    def test_native_code_writes_no_line_about_a_damaged_png(self, depth, fault, capfd):
        data = (
            saved(smooth(), "PNG")
            if depth == 8
            else bytearray(cv2.imencode(".png", np.asarray(smooth(), np.uint16))[1])
        )
        if fault == "cut":
            del data[len(data) // 2 :]
        else:
            data[data.find(b"IDAT") + 20] ^= 255
        with pytest.raises((OSError, SyntaxError)):
            images.decode(data, 4095)
        images.greatest(data)
        assert capfd.readouterr() == ("", "")

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


@pytest.mark.parametrize("ending", images.USUAL)
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
