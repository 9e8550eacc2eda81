"""new: a config is written by looking at the files, and what is not offered is refused with its reason."""

import ast
import importlib
import json
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from src import config
from src.base.errors import UserError
from src.cli import ASKED, STAGES
from src.commands.new import answering, class_order, inferring, looking
from src.commands.new import command as new
from src.commands.new.guess import Flags, names_in
from src.data import patterns, tables
from src.driver import run as driver
from src.schema.settings import Parts
from tests import layouts
from tests.conftest import ROOT, picture

pytestmark = pytest.mark.usefixtures("configs")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, tuple[Path, dict]]:
    """Every layout, once: {name: (its folder, what a config must say)}."""
    root = tmp_path_factory.mktemp("layouts")
    return {name: (root / name, write(root / name)) for name, write in layouts.ALL.items()}


@pytest.fixture
def put(made, roots):
    """Puts a layout at input/<name> and returns that folder."""

    def put(name: str, to: str | None = None) -> Path:
        return Path(shutil.copytree(made[name][0], roots / "input" / (to or name)))

    return put


def rewrite(path: Path, change) -> None:
    change(pd.read_csv(path, dtype=str, keep_default_na=False)).to_csv(path, index=False)


def refused(*arguments, **options) -> str:
    with pytest.raises(UserError) as error:
        new.run(*arguments, **options)
    return str(error.value)


@pytest.mark.parametrize("name", layouts.ALL)
def test_a_known_layout_becomes_a_config_without_an_edit(name, put, made, configs, capsys):
    put(name)
    assert new.run(name, small=True) is None
    assert f"./run.sh {name} --limit 40" in capsys.readouterr().out
    competition, expected = config.load(name), made[name][1]
    assert {field: getattr(competition, field) for field in expected} == expected
    found = tables.read(competition)
    assert (len(found.train), len(found.test)) == (layouts.TRAIN, layouts.TEST)
    assert all(part[tables.PATH].map(os.path.isfile).all() for part in (found.train, found.test))
    assert pd.read_csv(competition.folds_csv)["fold"].nunique() == 5
    assert competition.ids_overlap == (name == "cifar")


def test_configs_are_formatted_and_clean(put, configs, monkeypatch):
    monkeypatch.setattr(new, "try_config", lambda name, path: None)
    for name in layouts.ALL:
        put(name)
        new.run(name, name=f"{name}_tiny", small=True)
        new.run(name, name=f"{name}_large")
    for command in (["format", "--check"], ["check"]):
        ruff = [
            sys.executable,
            "-m",
            "ruff",
            *command,
            "--no-cache",
            "--config",
            str(ROOT / ".ruff.toml"),
            str(configs),
        ]
        done = subprocess.run(ruff, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_config_is_formatted_by_its_own_rules_and_written_where_ruff_is_missing(put, configs, monkeypatch, capsys):
    monkeypatch.setattr(new, "try_config", lambda name, path: None)
    put("cassava")
    (configs / "ruff.toml").write_text("line-length = 40\n")  # the caller's
    monkeypatch.chdir(configs)
    new.run("cassava", name="formatted")
    assert "ruff" not in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "ruff", None)
    new.run("cassava", name="plain")
    assert capsys.readouterr().out.count("ruff is not installed: the config is not formatted\n") == 1
    assert ast.dump(ast.parse((configs / "plain.py").read_text())) == ast.dump(
        ast.parse((configs / "formatted.py").read_text())
    )
    assert config.load("plain").classes == ("0", "1", "2")


def test_a_written_config_runs_to_a_checked_csv(put, configs, capsys):
    """With one epoch in place of 20, small pictures and one C, for the time that they take."""
    put("seedlings")
    new.run("seedlings", small=True)
    path = configs / "seedlings.py"
    text = path.read_text().replace("epochs=20", "epochs=1").replace("warmup_epochs=2.0", "warmup_epochs=0.0")
    text = text.replace("img_size=96", "img_size=32").replace("(96, 96)", "(32, 32)")
    path.write_text(text.replace("**LITE0, img_size=128)", "**LITE0, img_size=32, cs=(1.0,), widen=False)"))
    sys.modules.pop("src.configs.seedlings")
    competition = config.load("seedlings", limit=15)
    competition.folder.mkdir()
    driver.run(competition, tuple(stage for stage in STAGES if stage not in ASKED))
    (csv,) = competition.folder.glob("blend-*.csv")
    assert pd.read_csv(csv).shape == (9, 2)
    assert list(pd.read_csv(csv).columns) == ["file", "species"]


def test_clip_is_to_be_told_the_names_of_codes_where_there_is_one(put, configs, monkeypatch, capsys):
    monkeypatch.setattr(new, "try_config", lambda name, path: None)
    (put("cassava") / "label_num_to_disease_map.json").unlink()
    for small in (True, False):
        new.run("cassava", small=small, force=True)
        assert ("say in prompts.classnames" in capsys.readouterr().out) == (not small)
        assert ("say in prompts.classnames" in (configs / "cassava.py").read_text()) == (not small)
    put("cifar")
    new.run("cifar")
    assert "the classes' names" not in capsys.readouterr().out


def test_codes_get_their_names_and_farms_are_only_proposed(put, configs):
    put("cassava")
    new.run("cassava")
    competition = config.load("cassava")
    assert competition.prompts.classnames["1"] == ("Cassava Mosaic Disease",)
    assert competition.group is None
    assert "farm (12 values) in 45 rows" in (configs / "cassava.py").read_text()


def test_a_table_names_pictures_in_a_folder_a_class(put):
    """As in state-farm's: a table has the classes and the drivers, but not the folder that a picture is in."""
    folder = put("seedlings")
    rows = [(path.name, path.parent.name, f"p{i % 12}") for i, path in enumerate(sorted(folder.glob("train/*/*")))]
    layouts.write(folder, "drivers.csv", pd.DataFrame(rows, columns=["file", "species", "driver"]))
    guess = inferring.infer(looking.look(folder), Flags())
    assert guess.train == "drivers.csv"
    assert guess.image == Parts(train="train/{species}/{file}", test="test/{file}")
    assert guess.groups == {"driver": 12}


def test_patients_are_proposed_before_ages_and_a_column_may_name_the_codes(put):
    """As in siim-isic-melanoma-classification."""
    folder = put("cassava")
    (folder / "label_num_to_disease_map.json").unlink()
    rewrite(
        folder / "train.csv",
        lambda df: df.assign(
            age=[str(20 + i % 11) for i in range(len(df))],
            weight=[f"{50 + i % 11}.0" for i in range(len(df))],
            patient_id=[f"p{i % 15}" for i in range(len(df))],
            kind=df["label"].map({"0": "benign", "1": "malignant", "2": "not known"}),
        ),
    )
    guess = inferring.infer(looking.look(folder), Flags())
    assert guess.groups == {"patient_id": 15, "farm": 12, "age": 11}
    assert guess.words["1"] == "malignant"


def test_an_id_may_be_called_image(put):
    folder = put("seedlings")
    rewrite(folder / "sample_submission.csv", lambda df: df.rename(columns={"file": "image"}))
    new.run("seedlings", small=True)
    competition = config.load("seedlings")
    assert (competition.id, competition.image) == ("image", "image_path")
    assert tables.read(competition).test[tables.PATH].map(os.path.isfile).all()


def test_one_hot_columns_become_a_label(put):
    """As in plant-pathology 2020."""
    folder = put("dogs")
    names = ["affenpinscher", "basset", "scottish_deerhound"]
    rewrite(
        folder / "labels.csv", lambda df: pd.get_dummies(df, columns=["breed"], prefix="", prefix_sep="", dtype=int)
    )
    new.run("dogs", small=True)
    competition = config.load("dogs")
    train = tables.read(competition).train
    assert competition.classes == tuple(names)
    assert all(row[row["label"]] == "1" for row in train.to_dict("records"))
    rewrite(folder / "labels.csv", lambda df: df.assign(basset="1"))
    with pytest.raises(UserError, match=r"unknown label 'basset \+ scottish_deerhound'"):
        tables.read(competition)
    sys.modules.pop("src.configs.dogs", None)
    new.run("dogs", small=True, force=True)
    assert config.load("dogs").task == "labels"


@pytest.mark.parametrize("name", ["path", "index", "0", "image.id", "Unnamed: 0"])
def test_the_id_may_have_any_name_beside_columns_called_part_and_path(name, put):
    folder = put("dogs")
    for file in ("labels", "sample_submission"):
        rewrite(folder / f"{file}.csv", lambda df: df.rename(columns={"id": name}))
    if name == "Unnamed: 0":  # the names of pictures as pandas' index
        for file in ("labels", "sample_submission"):
            path = folder / f"{file}.csv"
            path.write_text(path.read_text().removeprefix(name))
        assert "named by the column 'Unnamed: 0', which no pattern can have" in refused("dogs", small=True)
        return
    rewrite(folder / "labels.csv", lambda df: df.assign(part="leaf", **({} if name == "path" else {"path": "x"})))
    new.run("dogs", small=True)
    competition = config.load("dogs")
    assert (competition.id, competition.image) == (name, "{part}/{" + name + "}.jpg")
    assert tables.read(competition).train[tables.PATH].map(os.path.isfile).all()


def test_the_index_of_pandas_is_passed_over_everywhere(put):
    folder = put("cassava")
    for file in ("train", "sample_submission"):
        pd.read_csv(folder / f"{file}.csv", dtype=str).to_csv(folder / f"{file}.csv")
    new.run("cassava", small=True)
    competition = config.load("cassava")
    assert (competition.id, competition.label) == ("image_id", "label")
    assert tables.read(competition).sample_submission.columns.tolist() == ["image_id", "label"]


@pytest.mark.parametrize(("ending", "mark"), [("csv", ";"), ("tsv", "\t"), ("txt", "|"), ("TSV", ",")])
def test_tables_may_have_other_endings_and_marks(ending, mark, put):
    folder = put("cassava")
    for file in ("train", "sample_submission"):
        df = pd.read_csv(folder / f"{file}.csv", dtype=str)
        (folder / f"{file}.csv").unlink()
        df.to_csv(folder / f"{file}.{ending}", sep=mark, index=False)
    (folder / "readme.txt").write_text("Leaves of cassava, by many farmers.\n")
    new.run(str(folder), small=True)
    competition = config.load("cassava")
    assert competition.train == f"train.{ending}"
    assert tables.read(competition).train["farm"].iloc[0] == "farm 0"


def test_ids_as_decimals_are_said(put):
    folder = put("cifar")
    for file in ("trainLabels", "sampleSubmission"):
        rewrite(folder / f"{file}.csv", lambda df: df.assign(id=df["id"] + ".0"))
    said = refused("cifar", small=True)
    assert said == "trainLabels.csv: its id was read as numbers once, '1.0' for test/1.png: write it as text"


def test_numbers_that_several_rows_share_name_no_pictures(put):
    folder = put("cifar")
    rewrite(folder / "trainLabels.csv", lambda df: df.assign(age=[str(1 + i % 9) for i in range(len(df))]))
    sample = pd.read_csv(folder / "sampleSubmission.csv", dtype=str)
    sample[["id"]].assign(age="3").to_csv(folder / "test.csv", index=False)
    new.run("cifar", small=True)
    assert config.load("cifar").image == "{part}/{id}.png"


def test_labels_of_ones_own_that_cannot_be_read_are_said(made, tmp_path):
    folder = Path(shutil.copytree(made["corn"][0] / "corn", tmp_path / "own"))
    for name in ("test.csv", "sample_submission.csv"):
        (folder / name).unlink()
    (folder / "train.csv").write_bytes("image,label\ntrain/00000.png,Bärlauch\n".encode("latin-1"))
    assert "train.csv is not UTF-8 text" in refused(str(folder), small=True)


def test_labels_of_ones_own_may_be_there_twice_and_in_another_form(made, tmp_path, capsys):
    folder = Path(shutil.copytree(made["corn"][0] / "corn", tmp_path / "own"))
    df = pd.read_csv(folder / "train.csv", dtype=str)[["image", "label"]]
    for path in folder.glob("*.csv"):
        path.unlink()
    pd.concat([df, df[:2]]).to_csv(folder / "labels.tsv", sep="\t", index=False)
    new.run(str(folder), small=True)
    assert "labels.tsv: 2 rows that only repeat another" in capsys.readouterr().out
    assert sum(map(len, (tables.read(config.load("own")).train, tables.read(config.load("own")).test))) == len(df)


def test_labels_that_look_like_names_of_pictures_name_none(put):
    folder = put("cifar")
    for file in ("trainLabels", "sampleSubmission"):
        rewrite(
            folder / f"{file}.csv",
            lambda df: df.assign(label=df["label"].map({"frog": "1", "truck": "2", "airplane": "3"})),
        )
    new.run("cifar", small=True)
    assert config.load("cifar").image == "{part}/{id}.png"


def test_rows_that_repeat_an_answer_are_one_row(put, capsys):
    folder = put("cassava")
    rewrite(folder / "train.csv", lambda df: pd.concat([df.assign(who="x"), df.assign(who="y")]))
    new.run("cassava", small=True)
    assert "passed over in train.csv: 45 rows that only repeat another" in capsys.readouterr().out
    assert len(tables.read(config.load("cassava")).train) == layouts.TRAIN


def test_columns_of_true_and_false_become_a_label(put):
    folder = put("dogs")
    rewrite(folder / "labels.csv", lambda df: df[["id"]].join(pd.get_dummies(df["breed"])))
    new.run("dogs", small=True)
    competition = config.load("dogs")
    assert tables.read(competition).train[competition.label].value_counts().tolist() == [15, 15, 15]


def test_lost_zeros_are_said_with_a_pattern_that_finds_the_pictures(put):
    folder = put("cassava")
    for path in [*folder.glob("*_images/*.jpg")]:
        path.rename(path.with_name(f"{int(path.stem) - 1000:05d}.jpg"))
    for file in ("train", "sample_submission"):
        rewrite(folder / f"{file}.csv", lambda df: df.assign(image_id=[str(int(i[:4]) - 1000) for i in df["image_id"]]))
    said = refused("cassava", small=True)
    assert "its image_id was read as numbers once, '0' for train_images/00000.jpg: write it as text, or" in said
    pattern = "{part}_images/{image_id:0>5}.jpg"
    assert pattern in said
    new.run("cassava", image=pattern, small=True)
    assert tables.read(config.load("cassava")).test[tables.PATH].map(os.path.isfile).all()


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (("cat", "Cat", "dog"), "in another case, 'cat' and 'Cat': write"),
        (("1", "1.0", "2"), "as another number, '1' and '1.0': write"),
        ((" cat", " dog"), "blanks around them, as ' cat'"),
        (("NA", "cat", "dog"), "the class 'NA' is called as cells without a label are: if these are none, take"),
        (("none", "rust", "scab"), None),  # of plants without a disease
        (("a", "b", "10", "100"), None),
    ],
)
def test_classes_that_may_be_one_are_said(classes, said):
    odd = answering.check_spellings("train.csv", classes)
    assert len(odd) == (said is not None)
    assert all(said in one for one in odd)


def test_a_class_of_one_row_is_allowed(put, configs):
    folder = put("cassava")
    rewrite(folder / "train.csv", lambda df: df.assign(label=["9", *df["label"][1:]]))
    new.run("cassava", small=True)
    competition = config.load("cassava")
    assert competition.rare_classes
    assert "1 of 4 classes have no row or one, such as '9'" in (configs / "cassava.py").read_text()
    assert len(tables.read(competition).train) == layouts.TRAIN


def test_a_folder_of_classes_becomes_a_data_set(roots, tmp_path):
    for i in range(30):
        path = tmp_path / "pets" / ("cat", "dog")[i % 2] / f"{i}.png"
        layouts.draw(path, i % 2, i)
    new.run(str(tmp_path / "pets"), small=True)
    competition = config.load("pets")
    assert competition.classes == ("cat", "dog")
    found = tables.read(competition)
    assert len(found.train) + len(found.test) == 30
    assert "is there" in refused(str(tmp_path / "pets"))
    new.run(str(tmp_path / "pets"), small=True, force=True)


def test_a_competition_elsewhere_is_linked_into_input_by_a_slug_that_is_a_guess(made, roots, capsys):
    new.run(str(made["corn"][0]), name="seeds", small=True)
    assert (roots / "input" / "corn").resolve() == made["corn"][0].resolve()
    assert config.load("seeds").source.slug == "corn"
    said = capsys.readouterr().out
    assert "look at this: 'corn' is the folder's name, and may not be Kaggle's slug: if Kaggle has this" in said
    new.run(str(roots / "input" / "corn"), name="seeds", small=True, force=True)
    assert "may not be Kaggle's slug" not in capsys.readouterr().out


@pytest.mark.parametrize("force", [False, True])
def test_a_config_whose_trial_is_interrupted_does_not_stand_in_the_way(put, configs, monkeypatch, capsys, force):
    put("corn")
    path = configs / "corn.py"
    if force:
        path.write_text("# one that is to be replaced")

    def stopped(competition, names):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(new.driver, "run", stopped)
        with pytest.raises(KeyboardInterrupt):
            new.run("corn", small=True, force=force)
    assert path.exists() == force
    assert ("removed src/configs/corn.py" in capsys.readouterr().out) != force
    new.run("corn", small=True, force=force)
    assert path.exists()


def test_a_csv_of_labels_becomes_a_data_set(made, roots, tmp_path):
    folder = Path(shutil.copytree(made["corn"][0] / "corn", tmp_path / "seeds"))
    for name in ("test.csv", "sample_submission.csv"):
        (folder / name).unlink()
    rewrite(folder / "train.csv", lambda df: df.rename(columns={"label": "state"}))
    assert "--label" in refused(str(folder), small=True)
    new.run(str(folder), label="state", small=True)
    competition = config.load("seeds")
    assert competition.classes == ("broken", "pure", "silkcut")
    assert len(tables.read(competition).test) == 9


@pytest.mark.parametrize(
    ("layout", "change", "options", "said"),
    [
        (
            "cassava",
            lambda f: [
                rewrite(f / f"{name}.csv", lambda df: df.rename(columns={"label": "EncodedPixels"}))
                for name in ("train", "sample_submission")
            ],
            {},
            "(segmentation)",
        ),
        (
            "cassava",
            lambda f: rewrite(
                f / "train.csv", lambda df: df.assign(label=[f"{i} 5 {i + 9} 7" for i in range(len(df))])
            ),
            {},
            "(segmentation)",
        ),
        (
            "cassava",
            lambda f: rewrite(f / "train.csv", lambda df: pd.concat([df, df[:1].assign(label="2")])),
            {},
            "several rows, with different answers, of image_id '1000.jpg' (0, 2)",
        ),
        (
            "cassava",
            lambda f: rewrite(
                f / "train.csv",
                lambda df: pd.concat([df, df[::-1]]).assign(
                    label=[*df["label"], *df["label"]], xmin="1", ymin="2", xmax="3", ymax="4"
                ),
            ),
            {},
            "'xmin', which is of boxes",
        ),
        (
            "cassava",
            lambda f: (f / "train.csv").write_bytes("image_id,label\n1000.jpg,Bärlauch\n".encode("latin-1")),
            {},
            "is not UTF-8 text (invalid continuation byte in line 2), but maybe Latin-1",
        ),
        (
            "cassava",
            lambda f: (f / "train.csv").rename(f / "train.xlsx"),
            {},
            "train.xlsx is a spreadsheet: save it as CSV",
        ),
        (
            "cassava",
            lambda f: (f / "sample_submission.csv").write_text("image_id,label\n1000.jpg,Paris, France\n"),
            {},
            "put quotes around",
        ),
        (
            "corn",
            lambda f: rewrite(f / "corn" / "train.csv", lambda df: df.assign(label=["pure", "pure ", "silkcut"] * 15)),
            {},
            "corn/train.csv: the classes 'pure' and 'pure ' differ only by blanks or hidden signs: write them alike",
        ),
        (
            "corn",
            lambda f: rewrite(
                f / "corn" / "train.csv", lambda df: df.assign(label=["cafe\u0301", "caf\u00e9", "pure"] * 15)
            ),
            {},
            "hidden signs",
        ),
        (
            "dogs",
            lambda f: rewrite(f / "labels.csv", lambda df: df.assign(breed=df["breed"].str.title())),
            {},
            "labels.csv: the breed 'Scottish_Deerhound' is 'scottish_deerhound' in sample_submission.csv: write both",
        ),
        (
            "dogs",
            lambda f: [
                rewrite(f / f"{name}.csv", lambda df: df.rename(columns={"id": "part"}))
                for name in ("labels", "sample_submission")
            ],
            {},
            "pictures are named by the column 'part', which no pattern can have",
        ),
        (
            "cassava",
            lambda f: rewrite(f / "sample_submission.csv", lambda df: df.rename(columns={"label": "PredictionString"})),
            {},
            "(detection)",
        ),
        ("cassava", lambda f: rewrite(f / "train.csv", lambda df: df.assign(label="0")), {}, "one value only"),
        ("cassava", lambda f: rewrite(f / "train.csv", lambda df: df.drop(columns="label")), {}, "nothing tells these"),
        ("cassava", lambda f: (f / "sample_submission.csv").unlink(), {}, "no sample submission"),
        (
            "cassava",
            lambda f: shutil.copy(f / "train.csv", f / "train2.csv"),
            {},
            "several tables could be that of the train",
        ),
        ("cassava", lambda f: shutil.copytree(f / "train_images", f / "train_x"), {}, None),
        ("dogs", lambda f: rewrite(f / "labels.csv", lambda df: df.assign(kind=df["breed"])), {}, "--label breed"),
        ("dogs", lambda f: None, {"metric": "accuracy"}, "does not fit sample_submission.csv"),
        ("dogs", lambda f: None, {"metric": "acuracy"}, "did you mean 'accuracy'"),
        ("dogs", lambda f: None, {"label": "bred"}, "did you mean 'breed'"),
        ("dogs", lambda f: None, {"id": "ids"}, "--id: unknown column 'ids'"),
        ("dogs", lambda f: None, {"image": "{part}/{idd}.jpg"}, "unknown column 'idd'"),
        ("dogs", lambda f: None, {"image": "{part}/{id}.png"}, "there is no train/"),
        (
            "dogs",
            lambda f: [shutil.copytree(f / part, f / "small" / part) for part in ("train", "test")],
            {},
            "--image",
        ),
        (
            "dogs",
            lambda f: [path.rename(f / f"{path.stem}x.jpg") for path in f.glob("train/*")],
            {},
            "no picture is found",
        ),
        (
            "corn",
            lambda f: [
                rewrite(f / "corn" / f"{name}.csv", lambda df: df.assign(uid="u" + df["seed_id"]))
                for name in ("train", "test", "sample_submission")
            ],
            {},
            "choose by --id seed_id",
        ),
        ("seedlings", lambda f: [path.unlink() for path in f.rglob("*.png")], {}, "has no picture, but tables"),
    ],
)
def test_what_is_not_offered_or_not_clear_is_refused(layout, change, options, said, put, configs):
    change(put(layout))
    if said is None:  # the other copy has no test pictures beside it
        new.run(layout, small=True, **options)
        return
    assert said in refused(layout, small=True, **options)
    assert not list(configs.glob("*.py"))


def test_flags_choose(put):
    folder = put("dogs")
    rewrite(folder / "labels.csv", lambda df: df.assign(kind=df["breed"]))
    for part in ("train", "test"):
        shutil.copytree(folder / part, folder / "small" / part)
    new.run("dogs", label="kind", image="small/{part}/{id}.jpg", metric="auc", small=True)
    competition = config.load("dogs")
    assert (competition.label, competition.image, competition.metric) == ("kind", "small/{part}/{id}.jpg", "auc")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no picture and no table"),
        ({"train.csv": "id,age,target\n1,30,0\n", "sample_submission.csv": "id,target\n2,0\n"}, "but tables"),
        ({"train.csv": "id,text\n1,it was a dark and stormy night\n"}, "but texts"),
        ({"train.rar": "", "trainLabels.csv": "id,label\n1,frog\n"}, "unpack that there"),
        (
            {"train/a.svs": "", "b.nii.gz": ""},
            "no picture that is read here, but b.nii.gz, train/a.svs: write them as PNG",
        ),
        (
            {"train.json": json.dumps([{"id": "a", "band_1": [-1.5] * 99}])},
            "train.json has lists of numbers in it, 'band_1'",
        ),
        ({"train/.a.png": "", "__MACOSX/b.png": ""}, "no picture"),
    ],
)
def test_what_has_no_pictures_is_refused(files, said, roots):
    folder = roots / "input" / "thing"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    assert said in refused("thing")
    assert said in refused(str(folder))


def test_an_existing_config_is_replaced_only_by_force(put, configs, capsys):
    put("corn")
    (configs / "corn.py").write_text("mine")
    assert "replace it with --force" in refused("corn")
    assert (configs / "corn.py").read_text() == "mine"
    new.run("corn", force=True, small=True)
    assert "replaced src/configs/corn.py" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["predict", "data", "help", "test", "bench", "class", "my-leaves", "2018", "../x", "Leaves"]
)
def test_a_name_that_is_none_is_refused(name, put, configs):
    put("corn")
    assert "--name" in refused("corn", name=name)
    assert not list(configs.parent.rglob("*.py"))


def test_no_data_and_no_credentials_says_how_to_get_either(roots):
    said = refused("https://www.kaggle.com/competitions/leaf-classification/data")
    assert "leaf-classification.zip" in said
    assert "KAGGLE_API_TOKEN" in said
    assert "no folder" in refused("./leaves")
    for before in ("", "./"):
        assert "no folder" in refused(before + 300 * "l")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("train.csv", "nothing tells these of train rows"),
        ("sample_submission.csv", "has no sample submission"),
    ],
)
@pytest.mark.parametrize("ending", [".zip", ".gz"])
def test_a_table_that_is_still_packed_is_named(put, configs, table, said, ending):
    (path,) = put("corn").rglob(table)
    path.rename(path.with_name(f"{table}{ending}"))
    message = refused("corn")
    assert said in message
    assert message.endswith(f"{table}{ending} is not unpacked: unpack that there, then run again")


def test_the_site_tells_the_metric_and_the_title(standin, folder, configs, monkeypatch):
    from tests.standin import Kaggle

    told = Kaggle.rpc_GetCompetition
    for said, metric in (("Macro F-Score", "macro_f1"), ("Levenshtein", "accuracy"), ("Root Mean Squared Error", None)):
        answer = {"evaluationMetric": said, "title": 'A "toy"\\'}
        monkeypatch.setattr(Kaggle, "rpc_GetCompetition", lambda self, body, a=answer: told(self, body) | a)
        if metric is None:
            assert "regression" in refused("toy", name="toys", small=True, force=True)
            continue
        new.run("toy", name="toys", small=True, force=True)
        sys.modules.pop("src.configs.toys", None)
        importlib.invalidate_caches()
        competition = config.load("toys")
        assert (competition.metric, competition.title) == (metric, 'A "toy"\\')


def test_what_the_stages_refuse_is_said_with_the_line_to_mend(put, configs):
    folder = put("corn")
    (folder / "corn/train/00003.png").write_bytes(b"no picture")
    said = refused("corn", small=True)
    line = said.partition("image= in its line ")[2].partition(",")[0]
    assert "00003.png" in said
    assert (configs / "corn.py").read_text().splitlines()[int(line) - 1].startswith("    image=")


def test_names_cannot_leave_their_place_in_the_file(put):
    folder = put("seedlings", "evil")
    for old, name in (("Black-grass", 'a"b\'"""\nimport os\\'), ("Sugar beet", "🌱 {x}")):
        (folder / "train" / old).rename(folder / "train" / name)
    rewrite(folder / "sample_submission.csv", lambda df: df.assign(species="🌱 {x}"))
    new.run("evil", small=True)
    assert 'a"b\'"""\nimport os\\' in config.load("evil").classes


class TestListing:
    def test_lists_what_fits_and_passes_over_what_is_hidden_or_no_picture(self, tmp_path):
        for name in ("train/oak/1.png", "train/big ash/2.JPG", "train/.x/3.png", "train/oak/.4.png", "train/notes.txt"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"x")
        df = patterns.read(tmp_path, "train/{species}/{file}", tmp_path)
        assert df.to_dict("list") == {
            "species": ["big ash", "oak"],
            "file": ["2.JPG", "1.png"],
            "image": ["train/big ash/2.JPG", "train/oak/1.png"],
        }
        (tmp_path / "train/5.png").write_bytes(b"x")
        with pytest.raises(UserError, match=r"1 picture .*not of the pattern[^$]*train/5.png"):
            patterns.read(tmp_path, "train/{species}/{file}", tmp_path)

    @pytest.mark.parametrize("pattern", ["train/{}", "train/{a}/{a}", "train/{a!r}", "train/{a:3}", "{a"])
    def test_a_pattern_that_is_none_is_refused(self, pattern, tmp_path):
        with pytest.raises(UserError, match="lists nothing"):
            patterns.read(tmp_path, pattern, tmp_path)

    def test_the_report_has_another_key_when_a_file_is_added(self, put, configs):
        from src.report import material

        folder = put("seedlings")
        new.run("seedlings", small=True)
        competition = config.load("seedlings")
        before = material.key(competition)
        picture("red", 1).save(folder / "train/Sugar beet/new.png")
        assert material.key(competition) != before

    def test_a_hidden_test_set_has_more_files(self, put, tmp_path):
        from src.commands.pack import hidden

        put("seedlings")
        new.run("seedlings", small=True)
        competition = config.load("seedlings")
        made = hidden.lay_out(competition, 25, tmp_path / "hidden")
        there = patterns.read(tmp_path / "hidden", "test/{file}", tmp_path / "hidden")
        assert set(there["file"]) == set(made.asked.ids)
        assert len(there) == 25


@pytest.mark.parametrize(
    ("labels", "separator"),
    [
        (["Common Chickweed", "Common wheat", "Black-grass", "Maize"], None),
        (["red car", "blue car", "red bus", "blue bus"], None),
        (["scab", "rust", "complex", "rust complex", "scab rust", "healthy"], " "),
        (["Hernia|Mass", "Mass", "Hernia"], "|"),
        (["0 16", "7 1 2", "5"], " "),
        (["Quercus robur", "Quercus alba", "Acer rubrum"], None),
        (["Washington, D.C.", "Paris"], None),
    ],
)
def test_several_labels_in_a_cell_are_told_from_names_of_several_words(labels, separator):
    assert answering.label_separator(np.array(labels, object)) == separator


class TestClassOrder:
    @pytest.mark.parametrize(
        ("classes", "expected"),
        [
            (("1", "10", "2"), ("1", "2", "10")),
            (("-1", "0", "1.5"), ("-1", "0", "1.5")),
            (("grade 1", "grade 10", "grade 2"), ("grade 1", "grade 2", "grade 10")),
            (("1st", "10st", "2st"), ("1st", "2st", "10st")),
            (("I", "II", "III", "IV", "IX", "V"), ("I", "II", "III", "IV", "V", "IX")),
            (("stage II", "stage IV", "stage V"), ("stage II", "stage IV", "stage V")),
            (("Mild", "Severe"), None),
            (("VGG11", "ResNet18"), None),
            (("1", "01"), None),
            (("grade 1", "none"), None),
            (("IIII", "I"), None),
        ],
    )
    def test_is_that_of_the_numbers_in_the_names(self, classes, expected):
        assert class_order.numeric_order(classes) == expected

    def put_grades(self, folder, names):
        for i, name in enumerate(names):
            (folder / name).mkdir(parents=True)
            for j in range(6):
                picture("red", seed=10 * i + j).save(folder / name / f"{i}{j}.png")

    def test_is_asked_for_where_the_metric_counts_it(self, roots, configs, capsys):
        self.put_grades(roots / "eyes", ("Mild", "No_DR", "Severe"))
        assert "nothing tells the order of 3 classes" in refused(str(roots / "eyes"), metric="quadratic_kappa")
        assert "unknown class 'Sever'" in refused(str(roots / "eyes"), classes="No_DR,Mild,Sever")
        assert "--classes lacks 'Severe'" in refused(str(roots / "eyes"), classes="No_DR,Mild")
        new.run(str(roots / "eyes"), metric="quadratic_kappa", classes="No_DR, Mild,Severe", small=True)
        assert config.load("eyes").classes == ("No_DR", "Mild", "Severe")
        assert "in the order of --classes" in (configs / "eyes.py").read_text()

    def test_a_name_may_have_a_comma(self):
        classes = ("late", "mild", "mild, early", "severe")
        assert class_order.named_order(classes, "mild, early,mild,severe, late") == (
            "mild, early",
            "mild",
            "severe",
            "late",
        )
        assert names_in("--positive", "mild, early", classes) == ("mild, early",)
        assert names_in("--positive", "early , late", (" early", "late ", "mild")) == (" early", "late ")
        with pytest.raises(UserError, match="--positive: unknown class 'early'"):
            names_in("--positive", "mild,early", classes)

    def test_numbers_and_other_metrics_need_none(self, roots, configs):
        self.put_grades(roots / "grades", ("grade 10", "grade 2", "grade 9"))
        new.run(str(roots / "grades"), metric="quadratic_kappa", small=True)
        assert config.load("grades").classes == ("grade 2", "grade 9", "grade 10")
        self.put_grades(roots / "words", ("good", "bad", "fair"))
        new.run(str(roots / "words"), small=True)
        assert config.load("words").classes == ("bad", "fair", "good")


def deepen(folder: Path, factor: int) -> None:
    """Writes the pictures of a folder as grey ones of 12 bits, times `factor`, in 16."""
    for path in folder.rglob("*.png"):
        grey = np.asarray(Image.open(path).convert("L")).astype(np.uint16) * 16 + 15
        Image.fromarray(grey * factor).save(path)


@pytest.mark.parametrize(("factor", "white"), [(1, 4095), (16, 65535)])
def test_white_is_what_the_pictures_of_more_than_8_bits_hold(factor, white, put, capsys):
    deepen(put("cifar"), factor)
    new.run("cifar", small=True)
    assert config.load("cifar").white == white
    out = capsys.readouterr().out
    assert ("white=4095 in the config they are not read as dark" in out) == (white == 4095)
    assert "makes them dark" not in out


def test_a_white_that_makes_pictures_dark_or_cuts_them_off_is_said(put, capsys):
    deepen(put("cifar"), 1)
    new.run("cifar", small=True)
    competition = config.load("cifar")
    for white, said in ((65535, "white=4095 in the config scales them"), (1000, "all above white=1000 is white")):
        capsys.readouterr()
        driver.run(competition.model_copy(update={"white": white}), ["data"])
        assert said in capsys.readouterr().out


def renamed(folder: Path, name) -> None:
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png")):
        path.rename(path.with_name(name(path)))


def test_a_picture_that_lacks_is_named_and_makes_no_way_ambiguous(put):
    gone = sorted((put("cifar") / "test").rglob("*.png"))[0]
    gone.unlink()
    assert f"/test/{gone.name} is missing" in refused("cifar", small=True)


def test_ids_without_ending_find_files_of_several_endings(put):
    folder = put("dogs")
    endings = iter((".jpg", ".JPG", ".png", ".jpeg") * 20)
    renamed(folder / "train", lambda path: path.stem + next(endings))  # the test pictures are alike
    new.run("dogs", small=True)
    competition = config.load("dogs")
    assert competition.image == "{part}/{id}.*"
    found = tables.read(competition)
    assert all(part[tables.PATH].map(os.path.isfile).all() for part in (found.train, found.test))
    first = Path(found.train[tables.PATH][0])
    shutil.copy(first, first.with_suffix(".webp"))
    with pytest.raises(UserError, match="is not one picture, but"):
        tables.read(competition)


@pytest.mark.parametrize("ids", ["{}.jpg", "{}"])
def test_files_whose_ending_is_spelt_otherwise_are_found(ids, put, capsys):
    folder = put("dogs")
    endings = iter((".JPG", ".jpeg", ".JPG", ".jpg") * 20)
    for part in ("train", "test"):
        renamed(folder / part, lambda path: path.stem + next(endings))
    for path in folder.glob("*.csv"):
        rewrite(path, lambda df: df.assign(**{df.columns[0]: [ids.format(id) for id in df.iloc[:, 0]]}))
    new.run("dogs", small=True)
    competition = config.load("dogs")
    found = tables.read(competition)
    assert all(part[tables.PATH].map(os.path.isfile).all() for part in (found.train, found.test))
    assert "pictures found by another spelling of the ending, such as" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_letters_with_accents_are_found_however_a_file_spells_them(form, put):
    folder = put("cassava")
    renamed(folder, lambda path: unicodedata.normalize(form, f"é{path.name}"))
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    for name in ("train.csv", "sample_submission.csv"):
        named = {"image_id": lambda df: [unicodedata.normalize(other, f"é{name}") for name in df["image_id"]]}
        rewrite(folder / name, lambda df, named=named: df.assign(**named))
    new.run("cassava", small=True)
    competition = config.load("cassava")
    assert competition.image == "{part}_images/{image_id}"
    assert tables.read(competition).train[tables.PATH].map(os.path.isfile).all()


def test_classes_in_the_names_of_own_files_are_told_with_a_command_that_works(put, tmp_path):
    folder = put("seedlings")
    words = dict(
        zip(sorted(path.name for path in (folder / "train").iterdir()), ("cat", "catfish", "dog"), strict=True)
    )
    (tmp_path / "own set").mkdir()
    for i, path in enumerate(sorted(folder.glob("train/*/*.png"))):
        path.rename(tmp_path / "own set" / f"{words[path.parent.name]}.{i}.png")
    said = refused(str(tmp_path / "own set"), small=True)
    assert "are called cat, catfish, dog and a number" in said
    subprocess.run(["bash", "-ec", said[said.index("(cd ") :]], check=True)
    new.run(str(tmp_path / "own set"), small=True)
    assert config.load("own_set").classes == ("cat", "catfish", "dog")


def own(folder: Path, place: str = "{label}/{i}.png", n: int = 30) -> Path:
    for i in range(n):
        layouts.draw(folder / place.format(label=("cat", "dog")[i % 2], i=i), i % 2, i)
    return folder


@pytest.mark.parametrize("place", ["Dataset", "archive/images", "pets", "animals"])
def test_classes_lie_in_a_folder_below_beside_examples(place, tmp_path, capsys):
    folder = own(own(tmp_path / "pets", f"{place}/{{label}}/{{i}}.png"), "Examples/{i}.png", 3)
    new.run(str(folder), small=True)
    said = capsys.readouterr().out
    if place == "animals":  # it could be a class
        assert f"name it alone: ./run.sh new {folder}/animals" in said
        assert config.load("pets").classes == ("Examples", "animals")
        new.run(f"{folder}/animals", small=True)
    else:
        assert "the 3 pictures beside it, such as Examples/0.png, are not taken" in said
        (line,) = [line for line in said.splitlines() if line.startswith("for the 3 pictures left out")]
        assert line.endswith(f"./run.sh pets predict {folder}/Examples --csv predictions.csv")
    competition = config.load("animals" if place == "animals" else "pets")
    assert competition.classes == ("cat", "dog")
    assert len(tables.read(competition).train) == 24


def test_sets_in_two_folders_are_classes_with_a_word(tmp_path, capsys):
    folder = own(own(tmp_path / "pets", "home/{label}/{i}.png"), "zoo/{label}/{i}.png")
    new.run(str(folder), small=True)
    assert "the classes are the folders home, zoo, and in each are cat, dog" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("place", "table", "cell", "image"),
    [
        ("images/{i}.png", "labels.csv", "{i}.png", "images/{file}"),
        ("{i}.png", "labels.csv", "{i}", "{file}.png"),
        ("images/{i}.png", "labels.csv", "images/{i}.png", "file"),
        ("img/{label}/{i}.png", "labels.csv", "{label}/{i}", "img/{file}.png"),
        ("images/{i}.png", "tables/labels.csv", "{i}", "../images/{file}.png"),
        ("images/P{i}_frontal.png", "labels.csv", "P{i}", "images/{file}_frontal.png"),
        ("scan-{i}.png", "labels.csv", "{i}", "scan-{file}.png"),
        ("images/scan-{i}.png", "labels.csv", "{i}.png", "images/scan-{file}"),
        ("images/img{i}_a.png", "tables/labels.csv", "{i}", "../images/img{file}_a.png"),
    ],
)
def test_a_csv_finds_its_pictures_as_a_competitions_does(place, table, cell, image, tmp_path):
    folder, labels = own(tmp_path / "pets", place), ("cat", "dog")
    cells = [cell.format(i=i, label=labels[i % 2]) for i in range(30)]
    layouts.write((folder / table).parent, "labels.csv", pd.DataFrame({"file": cells, "kind": [*labels] * 15}))
    new.run(str(folder / table), small=True)
    competition = config.load("labels")
    assert competition.source.image == image
    assert len(tables.read(competition).train) == 24
    if "{label}" in place:  # folders of classes are there too
        return
    new.run(str(folder), small=True, force=True)
    assert config.load("pets").source == competition.source.model_copy(update={"slug": "pets"})
    assert new.run(str(folder), name="again", image=image, small=True, force=True) is None
    assert config.load("again").source.image == image


def test_folders_of_classes_beside_a_csv_that_names_them_are_taken_with_a_word(tmp_path, capsys):
    folder = own(tmp_path / "pets")
    files = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.png"))]
    layouts.write(folder, "ages.csv", pd.DataFrame({"file": files, "age": ["old", "young"] * 15}))
    new.run(str(folder), small=True)
    assert (
        f"ages.csv names pictures too: if the labels are in it, ./run.sh new {folder}/ages.csv"
        in capsys.readouterr().out
    )
    assert config.load("pets").classes == ("cat", "dog")
    new.run(str(folder / "ages.csv"), small=True)
    assert config.load("ages").classes == ("old", "young")


def test_of_two_csvs_the_one_with_labels_is_taken(tmp_path, configs, capsys):
    folder = own(tmp_path / "pets", "images/P{i}_frontal.png", 40)
    df = pd.DataFrame({"id": [f"P{i}" for i in range(40)], "kind": ["cat", "dog"] * 20})
    df["patient"] = [str(i // 2) if i % 9 else "" for i in range(40)]
    layouts.write(folder, "train.csv", df[:30])
    layouts.write(folder, "test.csv", df[30:].drop(columns="kind"))
    new.run(str(folder), label="kind", name="by_kind", small=True)
    assert config.load("by_kind").source.path.endswith("/train.csv")
    new.run(str(folder), small=True)
    assert "test.csv has no column kind, so its 10 rows are not used" in capsys.readouterr().out
    competition = config.load("pets")
    assert (competition.source.image, competition.source.label) == ("images/{id}_frontal.png", "kind")
    text = (configs / "pets.py").read_text()
    assert "then group='patient' here and in Folder" in text
    found = tables.read(competition)
    assert {*found.train["id"], *found.test["id"]} == {f"P{i}_frontal" for i in range(30)}


@pytest.mark.parametrize(("before", "behind"), [("P", "_frontal.jpg"), ("scan-", ".jpg"), ("", " (1).jpg")])
def test_a_competitions_ids_are_found_inside_of_the_pictures_names(before, behind, put):
    folder = put("cassava")
    renamed(folder, lambda path: f"{before}{path.stem}{behind}")
    for name in ("train.csv", "sample_submission.csv"):
        rewrite(folder / name, lambda df: df.assign(image_id=df["image_id"].str.removesuffix(".jpg")))
    new.run("cassava", small=True)
    assert config.load("cassava").image == f"{{part}}_images/{before}{{image_id}}{behind}"


def test_a_csv_that_names_no_picture_is_refused_with_what_there_is(tmp_path):
    folder = own(tmp_path / "pets", "images/{i}.png")
    layouts.write(folder, "labels.csv", pd.DataFrame({"nr": [f"a{i}" for i in range(30)], "kind": ["x", "y"] * 15}))
    said = refused(str(folder / "labels.csv"), small=True)
    assert "no picture is found by the columns of labels.csv, nr, kind" in said
    assert "--image 'images/{nr}.jpg'" in said
    assert refused(str(folder), small=True) == said


def test_a_folder_whose_name_has_no_latin_letter_wants_a_name(tmp_path):
    folder = own(tmp_path / "картинки")
    assert "give one by --name, as --name pictures" in refused(str(folder), small=True)
    new.run(str(folder), name="pictures", small=True)
    assert config.load("pictures").source.path == str(folder)


def test_links_that_lead_nowhere_end_no_look(put):
    folder = put("cassava")
    for name in ("gone.json", "gone.csv", "gone.jpg", "gone"):
        (folder / name).symlink_to("nowhere")
    new.run("cassava", small=True)


def test_files_of_other_kinds_in_folders_of_classes_are_counted(put, capsys):
    folder = put("seedlings")
    for name in ("a.heic", "b.HEIC", "Thumbs.db"):
        (folder / "train/Sugar beet" / name).write_bytes(b"x")
    new.run("seedlings", small=True)
    assert "look at this: 2 files of other kinds (2 .heic) in train are not taken" in capsys.readouterr().out


def test_ids_and_listed_files_of_two_spellings_are_told_apart(put):
    folder = put("seedlings")
    renamed(folder, lambda path: unicodedata.normalize("NFD", f"é{path.name}"))
    rewrite(folder / "sample_submission.csv", lambda df: df.assign(file=[f"é{name}" for name in df["file"]]))
    assert "spell letters with accents in two ways (NFD" in refused("seedlings", small=True)


class TestFoldersOfOneName:
    def test_own_pictures_live_beside_each_other_by_the_configs_name(self, roots, configs):
        for i, name in enumerate(("one", "other")):
            for j, label in enumerate(("cat", "dog", "dog")):
                for k in range(6):
                    path = roots / name / "Dataset" / label / f"{i}{j}{k}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    picture("red", seed=100 * i + 10 * j + k).save(path)
        new.run(str(roots / "one" / "Dataset"), small=True)
        assert "is there: give another --name" in refused(str(roots / "other" / "Dataset"), small=True)
        new.run(str(roots / "other" / "Dataset"), name="pets", small=True)
        paths = {name: config.load(name).source.path for name in ("dataset", "pets")}
        assert paths == {"dataset": str(roots / "one" / "Dataset"), "pets": str(roots / "other" / "Dataset")}
        for name in paths:
            assert len(tables.read(config.load(name)).train) > 0
        # the config is replaced, and with it the tables that are its own
        del sys.modules["src.configs.dataset"]
        new.run(str(roots / "other" / "Dataset"), force=True, small=True)
        assert config.load("dataset").source.path == str(roots / "other" / "Dataset")
        assert all(str(roots / "other") in path for path in tables.read(config.load("dataset")).train["image"])

    def test_tables_of_other_pictures_are_removed_by_the_line_that_is_said(self, roots, configs):
        folder = own(roots / "my pets" / "Dataset")
        new.run(str(folder), small=True)
        own(folder, "{label}/new-{i}.png", 6)
        with pytest.raises(UserError, match=r"files changed.* by --name") as error:
            config.load("dataset").source.fetch(roots / "input")
        subprocess.run(["bash", "-c", str(error.value).rpartition(": ")[2]], check=True)
        config.load("dataset").source.fetch(roots / "input")
        assert len(tables.read(config.load("dataset")).train) == 28  # of 36

    def test_competitions_are_linked_by_the_configs_name_where_the_folders_is_taken(self, made, roots, configs, capsys):
        for name in ("cassava", "seedlings"):
            shutil.copytree(made[name][0], roots / name / "comp")
        new.run(str(roots / "cassava" / "comp"), small=True)
        assert config.load("comp").source.slug == "comp"
        new.run(str(roots / "seedlings" / "comp"), name="plants", small=True)
        assert config.load("plants").source.slug == "plants"
        assert (roots / "input" / "plants").resolve() == roots / "seedlings" / "comp"
        assert "look at this: input/comp is another folder" in capsys.readouterr().out
        third = shutil.copytree(made["cassava"][0], roots / "third" / "comp")
        assert "give the config another --name" in refused(str(third), name="plants", force=True)
