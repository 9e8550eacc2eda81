"""Where a competition's files come from. A source is a class with a `slug` and a `fetch`: one more, one class more."""

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
from pydantic import Field

from src.base.errors import UserError
from src.base.files import refusals, replacing_folder
from src.kaggle import api as kaggle_api
from src.kaggle import credentials
from src.schema import Strict

# A photograph hardly shrinks in a zip, a CSV perhaps 20 times: what claims 200 times, or does not fit, is a bomb.
MOST_SHRUNK = 200


class Source(Strict):
    """Files laid out as under Kaggle's /kaggle/input/<slug>/."""

    slug: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")

    @property
    def page(self) -> str | None:
        """Where a submission is sent; None if nobody takes one."""
        return None

    def fetch(self, input_dir: Path) -> None:
        """Puts the files at `input_dir`/<slug>/ unless they are there.

        Raises:
            UserError: They cannot be had; says how to get them.
        """
        raise NotImplementedError


class Kaggle(Source):
    """A Kaggle competition: the folder that is there, a zip that the user put beside it, or the Kaggle API."""

    def __init__(self, slug: str, **fields):
        super().__init__(slug=slug, **fields)

    @property
    def page(self) -> str:
        return kaggle_api.page_of(self.slug)

    def fetch(self, input_dir: Path) -> None:
        folder, archive = input_dir / self.slug, input_dir / f"{self.slug}.zip"
        if folder.is_dir():
            return
        if not archive.is_file():
            if credentials.winner() is None:
                raise kaggle_api.Refusal(
                    "credentials",
                    f"no data for {self.slug}: download its zip from {self.page}/data and put it at {archive}, or "
                    f"accept the rules at {self.page}/rules, make a token at {credentials.TOKENS} and set "
                    f"KAGGLE_API_TOKEN to it",
                )
            print(f"downloading {self.slug} with the credentials in {credentials.where()}")
            part = input_dir / f".{self.slug}.download"  # kept when killed: the next run goes on in it
            with refusals(part):
                part.mkdir(parents=True, exist_ok=True)
                kaggle_api.download(self.slug, part).replace(archive)
                shutil.rmtree(part)
        print(f"unzipping {archive}")
        unzip(archive, folder)


class Digits(Source):
    """scikit-learn's 1,797 handwritten digits (Alpaydin and Kaynak 1998, CC BY 4.0), as a competition's files.

    8 x 8 grey PNGs; 1,437 to train on and 360 to test on by a fixed stratified split, and a solution.csv whose Usage
    column calls a fifth of the test rows Public and the others Private, as on a Kaggle leaderboard.
    """

    slug: str = "digits"

    def fetch(self, input_dir: Path) -> None:
        folder = input_dir / self.slug
        if folder.is_dir():
            return
        # imported here: this is the only source that needs them
        import pandas as pd
        from PIL import Image
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        print(f"writing scikit-learn's digits to {folder}")
        pixels, targets = load_digits(return_X_y=True)
        pixels = np.round(pixels.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)  # they count to 16
        df = pd.DataFrame({"id": [f"{i:04d}" for i in range(len(targets))], "label": targets.astype(str)})
        train, test = train_test_split(df, test_size=360, stratify=df["label"], random_state=0)
        public, _ = train_test_split(test, train_size=72, stratify=test["label"], random_state=0)
        sample = (
            test[["id"]].sample(frac=1, random_state=0).assign(label="0")
        )  # not in test.csv's order: as Kaggle's often
        solution = test.assign(Usage=np.where(test["id"].isin(public["id"]), "Public", "Private"))
        with replacing_folder(folder) as part:
            for name, rows in (("train", train), ("test", test)):
                (part / name).mkdir()
                images = [f"{name}/{id}.png" for id in rows["id"]]
                for index, image in zip(rows.index, images, strict=True):
                    Image.fromarray(pixels[index]).save(part / image)
                columns = ["id", "image", "label"] if name == "train" else ["id", "image"]
                rows.assign(image=images)[columns].sort_values("id").to_csv(part / f"{name}.csv", index=False)
            sample.to_csv(part / "sample_submission.csv", index=False)
            solution.sort_values("id").to_csv(part / "solution.csv", index=False)


def unzip(archive: Path, folder: Path) -> None:
    """Unpacks `archive` to `folder`, all of it or nothing.

    Raises:
        UserError: Not a zip, damaged, encrypted, larger than the disk or than a zip of data can be, or with an entry
            that is a link or would land outside of `folder`.
    """
    again = "download it again"
    try:
        with zipfile.ZipFile(archive) as zipped:
            entries = zipped.infolist()
            for entry in entries:
                name = PurePosixPath(entry.filename.replace("\\", "/"))
                if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
                    raise UserError(f"{archive} has an entry that would leave its folder ({entry.filename!r}): {again}")
                if stat.S_ISLNK(entry.external_attr >> 16):
                    raise UserError(f"{archive} has an entry that is a link ({entry.filename!r}): {again}")
                if entry.flag_bits & 1:
                    raise UserError(f"{archive} is encrypted ({entry.filename!r}): unpack it to {folder} yourself")
            size, free = sum(entry.file_size for entry in entries), shutil.disk_usage(archive.parent).free
            if size > MOST_SHRUNK * archive.stat().st_size:
                raise UserError(
                    f"{archive} claims to unpack to {size:,} bytes, more than {MOST_SHRUNK} times its size: {again}"
                )
            if size > free:
                raise UserError(f"{archive} unpacks to {size:,} bytes and the disk has {free:,} free: make room")
            with replacing_folder(folder) as part:
                for entry in entries:
                    zipped.extract(entry, part)  # checks each entry's CRC, and reads no more than its declared size
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise UserError(f"{archive} is not a whole zip file ({error}): {again}") from error
