"""Competitions of made-up pictures, laid out as well-known ones are."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

COLOURS = ((200, 60, 40), (60, 180, 50), (50, 70, 190))
TRAIN, TEST = 45, 9


def draw(path: Path, kind: int, seed: int, size: tuple[int, int] = (36, 30)) -> None:
    """A square of one of three colours on noise."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 120, (size[1], size[0], 3))
    pixels[8:22, 8:22] = np.array(COLOURS[kind]) + rng.integers(-30, 30, (14, 14, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def code(i: int) -> str:
    """As names of files that are hashes."""
    return f"{(i + 1) * 2654435761 % 2**32:08x}"


def write(folder: Path, name: str, df: pd.DataFrame) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    df.to_csv(folder / name, index=False)


def seedlings(folder: Path) -> dict:
    """train/<Species with spaces>/<hash>.png, test/<hash>.png, no table but sample_submission.csv: file, species."""
    species = ("Black-grass", "Common Chickweed", "Sugar beet")
    for i in range(TRAIN):
        draw(folder / "train" / species[i % 3] / f"{code(i)}.png", i % 3, i)
    for i in range(TRAIN, TRAIN + TEST):
        draw(folder / "test" / f"{code(i)}.png", i % 3, i)
    files = [f"{code(i)}.png" for i in range(TRAIN, TRAIN + TEST)]
    write(folder, "sample_submission.csv", pd.DataFrame({"file": files, "species": "Sugar beet"}))
    return {"id": "file", "label": "species", "classes": species, "metric": "accuracy", "image": "image"}


def dogs(folder: Path) -> dict:
    """labels.csv: id without ending, breed; train/ and test/ *.jpg; sample_submission.csv: id and a column a breed."""
    breeds = ("scottish_deerhound", "affenpinscher", "basset")
    for i in range(TRAIN + TEST):
        draw(folder / ("train" if i < TRAIN else "test") / f"{code(i)}.jpg", i % 3, i)
    train = pd.DataFrame({"id": [code(i) for i in range(TRAIN)], "breed": [breeds[i % 3] for i in range(TRAIN)]})
    write(folder, "labels.csv", train)
    sample = pd.DataFrame({"id": [code(i) for i in range(TRAIN, TRAIN + TEST)]})
    write(folder, "sample_submission.csv", sample.assign(**dict.fromkeys(sorted(breeds), 1 / 3)))
    return {
        "id": "id",
        "label": "breed",
        "classes": tuple(sorted(breeds)),
        "metric": "log_loss",
        "image": "{part}/{id}.jpg",
    }


def cassava(folder: Path) -> dict:
    """train.csv: image_id with its ending, a number as label; a JSON of their names; train_images/, test_images/."""
    for i in range(TRAIN + TEST):
        draw(folder / ("train_images" if i < TRAIN else "test_images") / f"{i + 1000}.jpg", i % 3, i)
    images = [f"{i + 1000}.jpg" for i in range(TRAIN + TEST)]
    farms = [f"farm {i % 12}" for i in range(TRAIN)]
    train = pd.DataFrame({"image_id": images[:TRAIN], "label": [i % 3 for i in range(TRAIN)], "farm": farms})
    write(folder, "train.csv", train)
    write(folder, "sample_submission.csv", pd.DataFrame({"image_id": images[TRAIN:], "label": 2}))
    names = {"0": "Cassava Bacterial Blight (CBB)", "1": "Cassava Mosaic Disease (CMD)", "2": "Healthy"}
    (folder / "label_num_to_disease_map.json").write_text(json.dumps(names))
    image = "{part}_images/{image_id}"
    return {"id": "image_id", "label": "label", "classes": ("0", "1", "2"), "metric": "accuracy", "image": image}


def cifar(folder: Path) -> dict:
    """trainLabels.csv: id, label; train/ and test/ *.png, which both count from 1; sampleSubmission.csv."""
    names = ("frog", "truck", "airplane")
    for i in range(TRAIN):
        draw(folder / "train" / f"{i + 1}.png", i % 3, i, (32, 32))
    for i in range(TEST):
        draw(folder / "test" / f"{i + 1}.png", i % 3, 100 + i, (32, 32))
    ids = range(1, TRAIN + 1)
    write(folder, "trainLabels.csv", pd.DataFrame({"id": ids, "label": [names[(i - 1) % 3] for i in ids]}))
    write(folder, "sampleSubmission.csv", pd.DataFrame({"id": range(1, TEST + 1), "label": "frog"}))
    classes = tuple(sorted(names))
    return {"id": "id", "label": "label", "classes": classes, "metric": "accuracy", "image": "{part}/{id}.png"}


def corn(folder: Path) -> dict:
    """corn/train.csv: seed_id, view, image below corn/, label; test.csv; a sample in another order."""
    names, rows = ("broken", "pure", "silkcut"), {"train": [], "test": []}
    for i in range(TRAIN + TEST):
        part = "train" if i < TRAIN else "test"
        draw(folder / "corn" / part / f"{i:05d}.png", i % 3, i)
        rows[part].append((i, ("top", "bottom")[i % 2], f"{part}/{i:05d}.png", names[i % 3]))
    columns = ["seed_id", "view", "image", "label"]
    train, test = (pd.DataFrame(rows[part], columns=columns) for part in ("train", "test"))
    write(folder / "corn", "train.csv", train)
    write(folder / "corn", "test.csv", test[columns[:3]])
    write(folder / "corn", "sample_submission.csv", test[["seed_id"]].iloc[::-1].assign(label="pure"))
    return {
        "id": "seed_id",
        "label": "label",
        "classes": names,
        "metric": "accuracy",
        "image": "image",
        "images": "corn",
    }


ALL = {"seedlings": seedlings, "dogs": dogs, "cassava": cassava, "cifar": cifar, "corn": corn}
