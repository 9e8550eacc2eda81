"""scikit-learn's handwritten digits as a competition: nothing to fetch."""

from pathlib import Path

import numpy as np

from src.base.files import replacing_folder
from src.schema.source import Source


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
        sample = test[["id"]].sample(frac=1, random_state=0).assign(label="0")  # in another order, as Kaggle's often
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
