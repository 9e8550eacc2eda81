"""Arrays as pictures: every shape and kind of number, and one sentence for what is none."""

import io

import numpy as np
import pytest

from src.data import arrays, images, locating, patterns
from src.data.record import check_images

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (9, 12), np.uint8)
COLOURS = RNG.integers(0, 256, (9, 12, 3), np.uint8)


def saved(values, save=np.save, **named) -> bytearray:
    buffer = io.BytesIO()
    save(buffer, *(() if named else (values,)), **named)
    return bytearray(buffer.getvalue())


def decoded(values, white=images.WHITE) -> np.ndarray:
    data = saved(values)
    assert images.explain_fault(data) is None
    picture = images.decode(data, white)
    assert picture.shape == (*images.header(data)[0][::-1], 3)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    return picture


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (GREY, GREY),
        (GREY[None], GREY),
        (GREY[..., None], GREY),
        (COLOURS, COLOURS),
        (COLOURS[None], COLOURS),
        (np.moveaxis(COLOURS, 2, 0), COLOURS),
        (np.asfortranarray(COLOURS), COLOURS),
        (np.dstack([COLOURS, GREY]), COLOURS),
        (np.moveaxis(np.dstack([COLOURS, GREY]), 2, 0), COLOURS),
        (np.dstack([COLOURS, COLOURS]), COLOURS),
        (np.stack([GREY] * 6), np.concatenate([GREY] * 6)),
        (np.stack([GREY, 255 - GREY]), np.concatenate([GREY, 255 - GREY])),
        (np.dstack([GREY, 255 - GREY]), np.concatenate([GREY, 255 - GREY])),
        (GREY > 99, 255 * (GREY > 99)),
    ],
)
def test_every_shape_is_a_picture(values, expected):
    expected = np.asarray(expected, np.uint8)
    picture = decoded(values)
    assert np.array_equal(picture, np.dstack([expected] * 3) if expected.ndim == 2 else expected)


def test_a_cadence_of_scans_is_one_picture_of_planes_below_each_other():
    scans = RNG.normal(size=(6, 273, 256)).astype(np.float16)
    picture = decoded(scans)
    assert picture.shape == (1638, 256, 3)
    least, most = float(scans.min()), float(scans.max())
    expected = np.round((scans.astype(float) - least) / (most - least) * 255).reshape(1638, 256)
    assert np.abs(picture[..., 0] - expected).max() <= 1
    said = images.header(saved(scans))[1]
    assert said == "float16 array, each from its least to its greatest value, 6 planes one below the other"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[-3.0, 1.0], [5.0, -3.0]]), [[0, 128], [255, 0]]),
        (np.array([[0.0, np.nan], [np.inf, -np.inf]]), [[0, 0], [0, 0]]),
        (np.array([[0.0, np.nan], [np.inf, 2.0]]), [[0, 0], [255, 255]]),
        (np.full((2, 2), 7.5), [[0, 0], [0, 0]]),
        (np.array([[np.finfo(float).max, 0], [-np.finfo(float).max, 0]]), [[255, 128], [0, 128]]),
        (np.array([[-1, 1], [0, 0]], np.int16), [[0, 255], [128, 128]]),
        (np.array([[0, 1 << 20], [0, 0]]), [[0, 255], [0, 0]]),
    ],
)
def test_numbers_of_any_range_go_from_the_least_to_the_greatest(values, expected):
    assert decoded(values)[..., 0].tolist() == expected
    assert images.greatest(saved(values)) == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_shares_of_one_keep_how_bright_they_are(dtype):
    values = np.array([[0.5, 0.75], [0.6, np.nan]]).astype(dtype)
    assert np.abs(decoded(values)[..., 0].astype(int) - [[128, 191], [153, 0]]).max() <= 1
    assert images.header(saved(values))[1] == f"{np.dtype(dtype).name} array, from 0 to 1"
    assert decoded(values / 100)[..., 0].max() == 255  # small numbers are none


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.int64, ">u2"])
def test_whole_numbers_are_scaled_by_what_is_white(dtype):
    values = np.array([[0, 2048], [4095, 4000]]).astype(dtype)
    assert decoded(values, 4095)[..., 0].tolist() == [[0, 128], [255, 249]]
    assert decoded(values)[0, 1, 0] == 8
    assert images.greatest(saved(values)) == 4095


def test_an_npz_has_one_picture():
    for save in (np.savez, np.savez_compressed):
        assert np.array_equal(images.decode(saved(COLOURS, save)), COLOURS)
    said = images.explain_fault(saved(None, np.savez, a=GREY, b=GREY))
    assert said == "has several arrays (a, b): save the picture alone, by np.save"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (saved(np.zeros((30, 64, 64))), "has the shape (30, 64, 64), which is no picture's"),
        (saved(np.zeros(9)), "has the shape (9,), which is no picture's"),
        (saved(np.zeros((2, 6, 9, 9))), "has the shape (2, 6, 9, 9), which is no picture's"),
        (saved(np.zeros((0, 9))), "has the shape (0, 9), which has no pixel"),
        (saved(np.array([[{}]])), "has an array of object, which are no numbers of pixels"),
        (saved(np.array([["a"]])), "no numbers of pixels"),
        (saved(np.ones((3, 3), complex)), "no numbers of pixels"),
        (saved(GREY)[:-1], "cannot be read to its end: it has 107 of 108 bytes"),
        (saved(GREY)[:40], "cannot be read to its end"),
        (saved(GREY, np.savez_compressed)[:-30], "cannot be read to its end"),
    ],
)
def test_what_is_no_picture_is_said(data, said):
    assert said in images.explain_fault(bytes(data))


def test_a_shape_that_the_file_does_not_hold_takes_no_memory(monkeypatch):
    data = saved(GREY).replace(b"'shape': (9, 12), }" + b" " * 11, b"'shape': (9000000000, 12), }  ")
    assert images.explain_fault(bytes(data)) == "cannot be read to its end: it has 108 of 108,000,000,000 bytes"
    monkeypatch.setattr(images, "LARGEST", 100)
    assert "has 12 x 9 pixels, and 100 are read at most" in images.explain_fault(bytes(saved(GREY)))
    monkeypatch.setattr(arrays, "MOST_BYTES", 100)
    assert "has an array of 236 bytes" in images.explain_fault(bytes(saved(GREY, np.savez_compressed)))


def test_the_record_says_how_they_are_shown(tmp_path):
    np.save(tmp_path / "a.npy", np.stack([GREY] * 6).astype(np.uint16) * 16)
    record = check_images(["a"], [tmp_path / "a.npy"], tmp_path / "images.parquet", 4095)
    row = record.iloc[0]
    assert (row.width, row.height, row["mode"]) == (12, 54, "uint16 array, 6 planes one below the other")
    assert (row.top, row.white) == (16 * int(GREY.max()), 4095)


def test_beside_pictures_in_a_folder_arrays_are_none(tmp_path):
    for name in ("a/1.png", "a/1.npy", "b/1.npy", "b/2.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = sorted(path.relative_to(tmp_path).as_posix() for path in patterns.pictures(tmp_path))
    assert found == ["a/1.png", "b/1.npy", "b/2.dcm"]
    assert locating.locate(tmp_path, ["a/1.*", "b/1.*"]) == [tmp_path / "a/1.png", tmp_path / "b/1.npy"]
