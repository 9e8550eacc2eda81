"""Near-duplicates: one picture under other light, cropped or turned is found; two pictures of a kind are two."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from src.audit import duplicates, registration
from src.base import files
from src.data.rows import Rows


def photo(seed: int, size: tuple[int, int] = (60, 52)) -> np.ndarray:
    """A bright blob with a grain of its own before a dark background: all are alike from afar."""
    rng, (width, height) = np.random.default_rng(seed), size
    grain = cv2.resize(rng.normal(size=(13, 15)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    blob = 150 / (1 + np.exp(20 * (np.hypot(x, y) - 0.8)))
    grey = 40 + blob * (1 + 0.2 * grain)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def recoded(picture: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def turned(picture: np.ndarray, degrees: float) -> np.ndarray:
    size = picture.shape[1::-1]
    around = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), degrees, 1)
    return cv2.warpAffine(picture, around, size, borderMode=cv2.BORDER_REPLICATE)


CHANGES = {
    "darker": lambda picture: (0.7 * picture).astype(np.uint8),
    "less contrast": lambda picture: (90 + 0.5 * picture).astype(np.uint8),
    "cropped": lambda picture: picture[2:48, 5:57],
    "cropped and brighter": lambda picture: (1.2 * picture[6:, :50]).clip(0, 255).astype(np.uint8),
    "half the size": lambda picture: cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "JPEG": lambda picture: recoded(picture, 40),
    "flipped": lambda picture: picture[:, ::-1],
    "a quarter turn": lambda picture: np.rot90(picture),
    "a small turn": lambda picture: turned(picture, 5),
    "blurred": lambda picture: cv2.GaussianBlur(picture, (0, 0), 1),
}


def fingerprints(pictures: list[np.ndarray]) -> duplicates.Fingerprints:
    squares = np.stack([registration.square(np.ascontiguousarray(picture)) for picture in pictures])
    digests = [picture.tobytes() + bytes(picture.shape) for picture in pictures]
    spread = [picture.std() for picture in pictures]
    return duplicates.Fingerprints(
        squares, np.array([files.text_sha256(str(one)) for one in digests]), np.array(spread)
    )


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Fewer pairs tell of unrelated pictures: each takes milliseconds."""
    monkeypatch.setattr(duplicates, "DRAWN", 60)


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    return [photo(seed) for seed in range(24)]


def test_a_changed_picture_is_found_and_no_other(photos):
    changed = [change(photos[i]) for i, change in enumerate(CHANGES.values())]
    found = duplicates.find_pairs(fingerprints(photos + changed), None)
    assert sorted(found.places.tolist()) == [[i, len(photos) + i] for i in range(len(CHANGES))]
    assert found.threshold < 0.8
    assert found.score.min() > 0.85
    assert found.score.max() < 1


def test_alike_from_afar_is_not_one_picture(photos):
    squares = fingerprints(photos).squares
    pixels = squares.reshape(len(squares), -1).astype(float)
    assert np.corrcoef(pixels)[np.triu_indices(24, 1)].min() > 0.75  # grey values would take all of them for one
    near = np.array([(i, j) for i in range(6) for j in range(i)])
    assert registration.correlations(squares, near).max() < 0.6


def test_copies_are_pairs_of_score_1_with_the_first_of_them(photos):
    found = duplicates.find_pairs(fingerprints([*photos[:5], photos[2], photos[4], photos[2]]), None)
    assert found.places.tolist() == [[2, 5], [2, 7], [4, 6]]
    assert found.score.tolist() == [1, 1, 1]


def test_pixels_count_and_not_files(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, level in zip(paths, (0, 9, 0), strict=True):
        Image.fromarray(photo(7)).save(path, compress_level=level)
    Image.fromarray(photo(8)).save(paths[2])
    rows = Rows(["a", "b", "c"], paths, [files.sha256(path) for path in paths], np.full((3, 2), 52))
    assert rows.shas[0] != rows.shas[1]
    assert duplicates.find_pairs(duplicates.fingerprint(rows), None).places.tolist() == [[0, 1]]


def test_later_rows_are_paired_with_all_and_earlier_ones_not_among_each_other(photos):
    pictures = [*photos[:8], photos[1], CHANGES["cropped"](photos[2]), photos[3], CHANGES["darker"](photos[9])]
    pictures += [photos[9], CHANGES["a quarter turn"](photos[4])]
    found = duplicates.find_pairs(fingerprints(pictures), None, old=10, threshold=0.75)
    assert sorted(found.places.tolist()) == [[3, 10], [4, 13], [11, 12]]


def test_a_later_row_may_be_a_crop_that_an_earlier_one_must_be_cropped_for(photos):
    crop = photos[3][9:, 10:]
    assert duplicates.find_pairs(fingerprints([*photos, crop]), None, old=24).places.tolist() == [[3, 24]]
    assert duplicates.find_pairs(fingerprints([crop, *photos]), None, old=1).places.tolist() == [[0, 4]]


def test_features_bring_candidates_too(photos, monkeypatch):
    monkeypatch.setattr(duplicates, "CANDIDATES", {"upright": 0, "turned": 0, "hash": 0, "features": 1})
    monkeypatch.setattr(duplicates, "BACK", 0)
    prints = fingerprints([*photos[:6], CHANGES["darker"](photos[5])])
    feats = np.eye(7, dtype=np.float32)
    assert len(duplicates.find_pairs(prints, None).places) == 0
    feats[6] = feats[5]
    assert duplicates.find_pairs(prints, feats).places.tolist() == [[5, 6]]


def test_perceptual_hashes_of_one_picture_are_the_nearest(photos):
    squares = fingerprints([*photos, CHANGES["JPEG"](photos[11])]).squares
    alike = duplicates.perceptual_hashes(squares) @ duplicates.perceptual_hashes(squares)[-1]
    assert np.argsort(-alike)[1] == 11


def test_strokes_that_can_always_be_laid_on_each_other_need_more(monkeypatch):
    monkeypatch.setattr(duplicates, "DRAWN", 150)
    images = load_digits().images[:60]
    digits = [np.repeat((image * 15).astype(np.uint8)[..., None], 3, axis=2) for image in images]
    prints = fingerprints(digits)
    found = duplicates.find_pairs(prints, None)
    assert 0.85 < found.threshold <= duplicates.MAX_THRESHOLD
    near = duplicates.candidates(prints.squares, None, np.arange(60), 0)
    taken = registration.correlations(prints.squares, near) >= duplicates.MIN_THRESHOLD
    assert taken.mean() > 0.1  # which the same threshold for all data would have taken for one picture
    assert len(found.places) <= 2


@pytest.mark.parametrize("value", [0, 255])
def test_pictures_of_one_colour_are_copies_or_nothing(photos, value):
    flat = np.full((30, 30, 3), value, np.uint8)
    prints = fingerprints([*photos[:3], flat, flat[:20], flat])
    assert duplicates.find_pairs(prints, None).places.tolist() == [[3, 5]]


def test_clusters_hang_together_by_way_of_others():
    cluster = duplicates.clusters(6, np.array([[0, 3], [3, 5], [1, 2]]))
    assert [cluster.tolist().index(c) for c in cluster] == [0, 1, 1, 0, 4, 0]
    assert len(set(duplicates.clusters(4, np.empty((0, 2), int)))) == 4


def test_tiny_pictures_are_the_means_of_a_crop():
    square = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    view = registration.UPRIGHT[12]
    (left, width), (top, height) = view[1:]
    large = np.kron(square, np.ones((25, 25), np.float32))  # of which the crop has whole pixels
    x, y, across, down = (round(1600 * share) for share in (left, top, width, height))
    expected = cv2.resize(large[y : y + down, x : x + across], (12, 12), interpolation=cv2.INTER_AREA).ravel()
    expected -= expected.mean()
    assert (left, width) != (top, height)  # a view that tells across from down
    tiny = registration.tiny(square[None], [registration.IDENTITY, view])[0, 1].numpy()
    assert np.abs(tiny - expected / np.linalg.norm(expected)).max() < 1e-4


class TestNeighbours:
    def test_are_those_of_all_comparisons(self, monkeypatch):
        monkeypatch.setattr(duplicates, "MIN_BLOCK_ROWS", 1)
        monkeypatch.setattr(duplicates, "MAX_BLOCK_ROWS", 4)
        rng = np.random.default_rng(0)
        vectors = torch.from_numpy(rng.normal(size=(30, 2, 5)).astype(np.float32))
        rows, among = np.array([3, 28, 7, 9, 20]), np.arange(5, 25)
        found = duplicates.nearest(lambda at: vectors[at], lambda at: vectors[at, :1], rows, among, 3, "")
        near = torch.einsum("nvd,md->nmv", vectors, vectors[:, 0]).max(dim=2).values.numpy()
        np.fill_diagonal(near, -np.inf)
        assert (found == among[np.argsort(-near[rows][:, among], axis=1)[:, :3]]).all()

    def test_are_fewer_where_there_are_fewer(self):
        vectors = torch.eye(3)[:, None]
        found = duplicates.nearest(lambda at: vectors[at], lambda at: vectors[at], np.arange(3), np.array([1]), 2, "")
        assert found.tolist() == [[1], [-1], [1]]
        none = duplicates.nearest(lambda at: vectors[at], lambda at: vectors[at], np.arange(3), np.empty(0, int), 2, "")
        assert none.shape == (3, 0)
