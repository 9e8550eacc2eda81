"""DICOM pictures: windows, inverted greys, colours, packed pixels; volumes and damaged files are one sentence."""

import io

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from src.base import packages
from src.base.errors import UserError
from src.data import dicom, images
from src.data.record import check_images

RNG = np.random.default_rng(0)
DEEP = np.sort(RNG.integers(0, 4096, (9, 12)).astype(np.uint16), axis=None).reshape(9, 12)
COLOURS = RNG.integers(0, 256, (9, 12, 3), np.uint8)


def file(values, syntax=ExplicitVRLittleEndian, **elements) -> Dataset:
    """A DICOM file of these pixels; `elements` are named as its standard names them."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    made.Rows, made.Columns = values.shape[:2]
    made.SamplesPerPixel = values.shape[2] if values.ndim == 3 else 1
    made.PhotometricInterpretation = "RGB" if values.ndim == 3 else "MONOCHROME2"
    if values.ndim == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = 8 * values.dtype.itemsize
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(values.dtype.kind == "i")
    made.PixelData = values.tobytes()
    for name, value in elements.items():
        setattr(made, name, value)
    return made


def saved(made: Dataset, start: bool = True) -> bytearray:
    buffer = io.BytesIO()
    if start:
        made.save_as(buffer, enforce_file_format=True)
    else:
        del made.file_meta
        made.save_as(buffer, implicit_vr=True, little_endian=True)
    return bytearray(buffer.getvalue())


def decoded(values, **elements) -> np.ndarray:
    data = saved(file(values, **elements))
    assert images.explain_fault(data) is None
    picture = images.decode(data)
    assert picture.shape == (*images.header(data)[0][::-1], 3)
    assert (picture.dtype, images.greatest(data)) == (np.uint8, 0)
    return picture


def test_without_a_window_it_goes_from_the_least_to_the_greatest():
    picture = decoded(DEEP, BitsStored=12)
    assert np.array_equal(picture[..., 0], np.round((DEEP - DEEP.min()) / (DEEP.max() - DEEP.min()) * 255))
    assert np.array_equal(picture[..., 0], picture[..., 2])
    assert np.array_equal(decoded(DEEP, PhotometricInterpretation="MONOCHROME1"), 255 - picture)


def test_grey_values_of_8_bits_are_a_screens_unless_a_modality_changes_them():
    """How bright a picture is stays so; stretched, one of 100 to 150 would be as one of 0 to 255."""
    grey = np.arange(100, 150).reshape(5, 10).astype(np.uint8)
    assert np.array_equal(decoded(grey)[..., 0], grey)
    assert np.array_equal(decoded(grey, RescaleSlope=1, RescaleIntercept=0)[..., 0], grey)
    assert np.array_equal(decoded(grey, PhotometricInterpretation="MONOCHROME1")[..., 0], 255 - grey)
    assert decoded(grey, RescaleSlope=2, RescaleIntercept=-100)[..., 0].max() == 255
    assert images.header(saved(file(grey)))[1] == "DICOM MONOCHROME2, as it stands"


@pytest.mark.parametrize("of_several", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_a_window_is_of_the_rescaled_values(signed, of_several):
    raw = np.arange(100).reshape(10, 10).astype(np.int16 if signed else np.uint16)
    window = {"WindowCenter": [0, 7], "WindowWidth": [41, 9]} if of_several else {"WindowCenter": 0, "WindowWidth": 41}
    picture = decoded(raw, RescaleSlope=2, RescaleIntercept=-100, **window)[..., 0]
    units = raw * 2.0 - 100  # PS3.3 C.11.2.1.2.1: by center - 0.5 and width - 1
    expected = np.clip((units + 0.5) / 40 + 0.5, 0, 1) * 255
    assert np.abs(picture - expected).max() <= 0.51
    assert set(np.unique(picture[units < -21])) == {0}
    assert set(np.unique(picture[units > 20])) == {255}


def test_an_s_shaped_window_and_one_that_is_none():
    raw = np.arange(100).reshape(10, 10).astype(np.uint16)
    window = {"WindowCenter": 50, "WindowWidth": 20}
    picture = decoded(raw, VOILUTFunction="SIGMOID", **window)[..., 0]
    assert np.abs(picture - 255 / (1 + np.exp(-4 * (raw - 50.0) / 20))).max() <= 0.51
    for none in ({"WindowCenter": 5, "WindowWidth": 0}, {"WindowCenter": 5}, {"WindowCenter": "", "WindowWidth": ""}):
        assert np.array_equal(decoded(raw, **none), decoded(raw))


def test_a_table_of_values_has_precedence():
    table = Dataset()
    table.LUTDescriptor = [100, 0, 8]
    table.LUTData = np.arange(200, 100, -1).astype(np.uint16).tobytes()
    raw = np.arange(100).reshape(10, 10).astype(np.uint16)
    picture = decoded(raw, VOILUTSequence=[table], WindowCenter=1, WindowWidth=2)
    assert np.array_equal(picture[..., 0], 200 - raw)


def test_colours():
    assert np.array_equal(decoded(COLOURS), COLOURS)
    assert np.array_equal(decoded(np.moveaxis(COLOURS, 2, 0).reshape(9, 12, 3), PlanarConfiguration=1), COLOURS)
    assert np.array_equal(decoded(COLOURS.astype(np.uint16) * 257), COLOURS)
    ycc = np.asarray(Image.fromarray(COLOURS).convert("YCbCr"))
    assert np.abs(decoded(ycc, PhotometricInterpretation="YBR_FULL").astype(int) - COLOURS).max() <= 3


def test_a_palette():
    colours = {}
    for i, colour in enumerate(("Red", "Green", "Blue")):
        colours[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        values = (np.arange(256) * 257 if i == 0 else np.full(256, 257 * i)).astype(np.uint16)
        colours[f"{colour}PaletteColorLookupTableData"] = values.tobytes()
    grey = COLOURS[..., 0]
    picture = decoded(grey, PhotometricInterpretation="PALETTE COLOR", **colours)
    assert np.array_equal(picture, np.dstack([grey, np.full_like(grey, 1), np.full_like(grey, 2)]))


def test_packed_pixels_are_decoded():
    packed = file(DEEP)
    packed.compress(RLELossless)
    assert np.array_equal(images.decode(saved(packed)), decoded(DEEP))
    big = np.asarray(Image.fromarray(COLOURS).resize((64, 48)))
    for syntax, format, options in (
        (JPEGBaseline8Bit, "JPEG", {"quality": 95, "subsampling": 0}),
        (JPEG2000Lossless, "JPEG2000", {"irreversible": False, "no_jp2": True}),
    ):
        buffer = io.BytesIO()
        Image.fromarray(big).save(buffer, format, **options)
        kind = {"JPEG": "YBR_FULL_422", "JPEG2000": "YBR_RCT"}[format]
        made = file(big, syntax, PixelData=encapsulate([buffer.getvalue()]), PhotometricInterpretation=kind)
        made["PixelData"].VR = "OB"
        data = saved(made)
        assert images.explain_fault(data) is None
        assert np.abs(images.decode(data).astype(int) - big).max() <= (0 if format == "JPEG2000" else 24)


def test_what_no_package_decodes_is_said_with_what_would(monkeypatch):
    made = file(DEEP, JPEGLosslessSV1, PixelData=encapsulate([b"xx"]))
    made["PixelData"].VR = "OB"
    assert "cannot be read to its end" in images.explain_fault(bytes(saved(made)))
    monkeypatch.setattr(pydicom.pixels.decoders.base.Decoder, "is_available", property(lambda self: False))
    said = images.explain_fault(bytes(saved(made)))
    assert said.startswith("is packed as JPEG Lossless")
    assert said.endswith("no installed package reads that: pip install python-gdcm")
    made = file(DEEP, MPEG2MPML, PixelData=encapsulate([b"xx"]))
    made["PixelData"].VR = "OB"
    assert images.explain_fault(bytes(saved(made))).endswith("write it as PNG")


def test_a_file_without_the_usual_start_is_read():
    data = saved(file(DEEP, ImplicitVRLittleEndian), start=False)
    assert data[128:132] != b"DICM"
    assert np.array_equal(images.decode(data), decoded(DEEP))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (saved(file(DEEP, NumberOfFrames=30)), "has 30 pictures in it: a volume or a video is none of one picture"),
        (bytes(128) + b"DICM", "is no DICOM file with a picture in it"),
        (saved(file(DEEP))[:-99], "cannot be read to its end"),
        (saved(file(DEEP))[:-250], "has no picture in it"),
        (saved(file(DEEP))[:300], "is no DICOM file with a picture in it"),
    ],
)
def test_what_is_no_picture_is_said(data, said):
    assert said in images.explain_fault(bytes(data))


def test_sizes_come_without_the_pixels_and_the_way_they_are_shown_is_recorded(tmp_path, monkeypatch):
    (tmp_path / "a.dcm").write_bytes(saved(file(DEEP, WindowCenter=2000, WindowWidth=1000)))
    row = check_images(["a"], [tmp_path / "a.dcm"], tmp_path / "images.parquet").iloc[0]
    assert (row.width, row.height, row["mode"]) == (12, 9, "DICOM MONOCHROME2, by its window")
    assert dicom.header(saved(file(COLOURS)))[1] == "DICOM RGB"
    monkeypatch.setattr(images, "LARGEST", 100)
    assert "has 12 x 9 pixels, and 100 are read at most" in images.explain_fault(bytes(saved(file(DEEP))))


def test_without_its_package_there_is_one_sentence(monkeypatch):
    dicom.library.cache_clear()
    monkeypatch.setattr(packages, "version", lambda name: None)
    with pytest.raises(UserError, match="lacks pydicom: pip install 'pydicom>="):
        images.explain_fault(bytes(saved(file(DEEP))))
    dicom.library.cache_clear()


@pytest.mark.parametrize("kind", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"])
def test_what_mammograms_are_packed_in_is_decoded_to_the_bit(kind, tmp_path):
    gdcm = pytest.importorskip("gdcm")
    deep = np.random.default_rng(1).integers(0, 4096, (64, 48)).astype(np.uint16)
    window = {"WindowCenter": 2048, "WindowWidth": 4096, "BitsStored": 12, "HighBit": 11}
    whole = saved(file(deep, **window))
    (tmp_path / "a.dcm").write_bytes(whole)
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(tmp_path / "a.dcm"))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, kind)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(tmp_path / "b.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    data = bytearray((tmp_path / "b.dcm").read_bytes())
    assert len(data) < len(whole)
    assert np.array_equal(images.decode(data), images.decode(whole))
