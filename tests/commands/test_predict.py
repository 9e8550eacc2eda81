"""predict: what a stage says of test rows, a finished model says of these pictures; and any picture, URL and class."""

import base64
import errno
import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import ClassVar

import numpy as np
import open_clip
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.special import softmax

from src.base.errors import UserError
from src.base.paths import from_caller
from src.commands.predict import command, gathering, naming, page, session, urls
from src.commands.predict.naming import Finished
from src.commands.predict.session import InferenceSession, Prediction
from src.data import images
from src.data.rows import read_dataset
from src.models.finetune import fitted as finetuned
from src.models.finetune import heads
from src.networks.classifiers import Head
from src.results.model import model_tables
from src.schema.models import FineTune, Pixels, Probe, Prompts, Soup, ZeroShot
from src.schema.networks import Encoder
from src.schema.settings import Blend
from src.stages import blend, data, features, finetune, folds, pixels, probe, zeroshot
from tests.conftest import CLASSES, TINY_CLIP, picture, roots_at, serving, snapshot, toy_competition, toy_files
from tests.running import run_stage

TUNED = FineTune(
    backbone="test_convnext",
    pretrained=False,
    img_size=32,
    epochs=1,
    warmup_epochs=0.0,
    batch_size=8,
    lr=3e-3,
    augment=(),
)
WISE = FineTune(
    clip=TINY_CLIP, head="probe", epochs=1, warmup_epochs=0.0, batch_size=8, lr=1e-3, wise_ft=(0.5,), augment=()
)
BESIDE = (Encoder(backbone="test_resnet", pretrained=False, img_size=32, scale=0.5),)


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """One pass is time enough for a time that nobody looks at."""
    for name, value in {"WARM": 0, "SECONDS": 0}.items():
        monkeypatch.setattr(session, name, value)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A competition with a model of every kind, finished."""
    root = tmp_path_factory.mktemp("trained")
    toy_files(root / "input" / "toy")
    with roots_at(root) as patch:
        rng = np.random.default_rng(0)
        starts = [Head(rng.normal(size=(3, 16)).astype("float32"), np.ones(3, "float32")) for _ in range(3)]
        patch.setattr(heads, "probes", lambda competition, spec, data: starts)  # no second spent on fitting them
        tiny = Probe(clip=TINY_CLIP, cs=(1.0,), widen=False)
        competition = toy_competition(
            models={
                "pixels": Pixels(trees=4),
                "plain": ZeroShot(clip=TINY_CLIP, views=("identity", "rot90")),
                "greedy": ZeroShot(clip=TINY_CLIP, ensemble="greedy", prior="train"),
                "probe": tiny.model_copy(update={"beside": BESIDE, "views": ("hflip", "crop_center")}),
                "rows": tiny.model_copy(update={"views_as": "rows", "towards": "zeroshot"}),
                "tuned": TUNED.model_copy(update={"seeds": 2, "views": ("identity", "vflip"), "temperature": True}),
                "wise": WISE,
                "soup": Soup(of=("tuned",)),
            }
        )
        for stage in (data, folds, pixels, features, zeroshot, probe, finetune, blend):
            run_stage(stage, competition)
        yield competition


@pytest.fixture
def there(trained, monkeypatch):
    """The finished competition, to which the paths lead."""
    root = trained.model_folder("").parents[2]
    for name in ("input", "submissions"):
        monkeypatch.setenv(f"{name.upper()}_DIR", str(root / name))
    monkeypatch.setenv("CALLED_FROM", str(root))
    return trained


def looked(competition, model):
    one = Finished(f"toy:{model}", competition, model)
    one.check()
    return InferenceSession(read_dataset(competition).test.paths).prediction(one)


@pytest.mark.parametrize("model", ["pixels", "plain", "greedy", "probe", "rows", "tuned", "wise", "soup", "blend"])
def test_every_kind_of_model_says_of_test_pictures_what_its_stage_said(there, model):
    before = snapshot(there.folder)
    prediction, rows = looked(there, model), read_dataset(there)
    # what model.json has of biases, temperatures and weights is rounded to four decimals
    bound = {"greedy": 5e-5, "tuned": 5e-5, "blend": 1e-4}.get(model, 1e-5)
    assert np.abs(prediction.table - model_tables(there, model, rows)[1]).max() < bound
    assert prediction.labels == CLASSES
    assert snapshot(there.folder) == before


def test_weights_between_a_probe_and_the_trained_ones_are_of_the_rows_that_they_were_made_of(there, monkeypatch):
    """The probe would be fitted once more, and that of other rows is another one."""
    rows = replace(read_dataset(there), folds_sha="another")
    monkeypatch.setattr(finetuned, "read_dataset", lambda competition: rows)
    with pytest.raises(UserError, match=r"toy:wise is of other rows than there are now .*: \./run\.sh toy finetune"):
        looked(there, "wise")
    assert looked(there, "tuned").labels == CLASSES


@pytest.mark.parametrize("method", ["mean", "greedy", "stack"])
def test_a_blend_is_predicted_by_the_method_that_it_has(there, method):
    other = there.model_copy(update={"blend": Blend(method=method, models=("plain", "probe", "tuned"))})
    kept = {path.name: path.read_bytes() for path in there.model_folder("blend").iterdir()}
    blend.run(other)
    try:
        prediction = looked(other, "blend")
        said = model_tables(other, "blend", read_dataset(other))[1]
    finally:
        for name, content in kept.items():
            (there.model_folder("blend") / name).write_bytes(content)
    assert np.abs(prediction.table - said).max() < (1e-4 if method == "greedy" else 1e-5)


def test_what_models_of_a_blend_share_is_timed_once():
    one, other = (Prediction(name, (), np.empty(0), {"shared": 2.0, name: 1.0}, {"same": 4.0}) for name in "ab")
    both = Prediction(
        "blend", (), np.empty(0), {**one.model_ms, **other.model_ms}, {**one.prepare_ms, **other.prepare_ms}
    )
    assert (one.model, both.model, both.prepare) == (3.0, 4.0, 4.0)


def test_a_model_that_is_not_as_it_was_made_is_refused_with_the_command_that_makes_it(there):
    changed = there.models["probe"].model_copy(update={"cs": (2.0,)})
    other = there.model_copy(update={"models": {**there.models, "probe": changed}})
    with pytest.raises(UserError, match=r"toy:probe is not of the config as it is now .*cs.*: \./run\.sh toy probe"):
        looked(other, "probe")
    more = there.model_copy(update={"models": {**there.models, "late": TUNED}})
    with pytest.raises(UserError, match=r"^toy:late is not finished: \./run\.sh toy finetune$"):
        looked(more, "late")
    path = there.model_folder("tuned") / "fold1-seed43.safetensors"
    path.rename(path.with_suffix(".away"))
    try:
        with pytest.raises(UserError, match=r"tuned fold 1 seed 43 are gone .*: \./run\.sh toy finetune"):
            command.run(there, words=["input/toy/test"], models=["soup"])
    finally:
        path.with_suffix(".away").rename(path)


def test_a_competition_says_what_its_blend_says_or_a_bare_name_of_its_models(there, tmp_path, capsys):
    csv, html = tmp_path / "a.csv", tmp_path / "a.html"
    one, missing = "input/toy/test/101.png", "gone.png"
    arguments = {"words": [one, missing, "input/toy/test"], "models": ["plain", "blend"], "top": 2}
    assert command.run(there, **arguments, csv=csv, html=html) == 1
    said = capsys.readouterr().out
    assert "gone.png: is missing\n" in said
    assert "1 picture of 13 could not be read" in said
    assert "input/toy/test: 12 pictures\n" in said
    df = pd.read_csv(csv)
    assert df.columns.tolist() == ["image", "model", "rank", "label", "probability", "ms"]
    assert len(df) == 12 * 2 * 2
    assert df["image"].tolist()[:5] == [one] * 4 + ["input/toy/test/100.png"]  # once, by its first name
    assert df["model"].tolist()[:4] == ["toy:plain"] * 2 + ["toy:blend"] * 2
    ranked = model_tables(there, "plain", read_dataset(there))[1][1]
    assert df["label"].tolist()[:2] == [CLASSES[i] for i in np.argsort(-ranked)[:2]]
    assert df["probability"][:2].to_numpy() == pytest.approx(np.sort(ranked)[::-1][:2], abs=1e-5)
    assert (df["ms"] > 0).all()
    text = html.read_text()
    assert text.count("data:image/webp") == 12
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", text)
    assert command.run(there, words=[one]) == 0
    assert "toy:blend" in capsys.readouterr().out


def test_many_pictures_are_summed_up_and_sorted_by_class_and_doubt(there, tmp_path, capsys):
    words, csv, html = ["input/toy/train", "input/toy/test"], tmp_path / "a.csv", tmp_path / "a.html"
    assert command.run(there, words=words, models=["plain", "blend"], csv=csv) == 0
    printed = capsys.readouterr().out
    assert "input/toy/test/100.png\n" not in printed
    assert "all 48 pictures" not in printed  # they are in the table
    df = pd.read_csv(csv)
    df = df[(df["model"] == "toy:plain") & (df["rank"] == 1)]
    counts = df["label"].value_counts()
    for label, n in counts.items():
        mean = df.loc[df["label"] == label, "probability"].mean()
        assert re.search(rf"^{label} +{n} +{n / 48:.1%} +{mean:.4f}$", printed, re.MULTILINE)
    doubtful = df.sort_values("probability")["image"].tolist()
    listed = re.findall(r"^  (input\S+) +0\.", printed, re.MULTILINE)
    assert listed[:10] == doubtful[:10]
    assert command.run(there, words=words, models=["plain"], html=html) == 0
    text = html.read_text()
    names = re.findall(r"<h2>(.*?)</h2>", text)
    place = {label: i for i, label in enumerate(counts.index)}
    if counts.nunique() == len(counts):  # else equal ones are in the order of the classes
        expected = df.assign(place=df["label"].map(place)).sort_values(["place", "probability"])
        assert names == expected["image"].tolist()
    anchors = re.findall(r'href="#(class-\d+)"', text)
    assert anchors == re.findall(r'id="(class-\d+)"', text) == [f"class-{i + 1}" for i in range(len(counts))]
    assert command.run(there, words=words, models=["plain"]) == 0
    assert "all 48 pictures: --csv FILE writes a table, --html FILE a page" in capsys.readouterr().out


def test_what_is_no_text_in_a_files_name_is_shown_by_a_sign(there, tmp_path, capsys):
    for name in ("a\nb.png", "a\udcff.png", "b.PNG"):
        picture("red", 1).save(tmp_path / name, "png")
    (tmp_path / "empty.gif").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture")
    csv = tmp_path / "a.csv"
    assert command.run(there, words=[f"{tmp_path}/"], models=["plain"], top=1, csv=csv) == 1
    assert [name.rpartition("/")[2] for name in pd.read_csv(csv)["image"]] == ["a\ufffdb.png", "a\ufffd.png", "b.PNG"]
    assert f"{tmp_path}/empty.gif: is empty (zero bytes)\n" in capsys.readouterr().out


# Models by name


@pytest.fixture
def clip_file(tmp_path, monkeypatch):
    """A tiny CLIP that open_clip knows by name, and its weights: `clip:tiny-named@FILE`."""
    config = {"embed_dim": 16, "vision_cfg": TINY_CLIP.vision_cfg, "text_cfg": TINY_CLIP.text_cfg}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-named", config)
    torch.manual_seed(0)
    model = open_clip.CLIP(**config)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, tmp_path / "clip.safetensors")
    return model.eval(), f"clip:tiny-named@{tmp_path / 'clip.safetensors'}"


@pytest.fixture
def timm_file(tmp_path):
    """test_convnext with a head of 1,000 classes."""
    torch.manual_seed(1)
    model = timm.create_model("test_convnext", num_classes=1000)
    save_file(model.state_dict(), tmp_path / "timm.safetensors")
    return model.eval(), f"timm:test_convnext@{tmp_path / 'timm.safetensors'}"


@pytest.fixture
def photo(roots, monkeypatch):
    monkeypatch.setenv("CALLED_FROM", str(roots))
    picture("red", 3, (300, 200)).save(roots / "photo.png")
    return roots / "photo.png"


def test_named_models_say_what_their_own_library_says(photo, clip_file, timm_file, tmp_path, capsys):
    (model, name), (resnet, other) = clip_file, timm_file
    names = ("cat", "dog", "a red square")
    (photo.parent / "names.txt").write_text("cat\n\ndog \na red square\n")
    csv = tmp_path / "a.csv"
    assert command.run(words=["photo.png"], models=[name], classes="names.txt", csv=csv) == 0
    image, preprocess = Image.open(photo), open_clip.image_transform(16, is_train=False)
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    with torch.inference_mode():
        feats = model.encode_image(preprocess(image)[None], normalize=True)
        texts = model.encode_text(tokenizer([f"a photo of a {one}." for one in names]), normalize=True)
        wanted = (model.logit_scale.exp() * feats @ texts.T).softmax(dim=1)[0].numpy()
    df = pd.read_csv(csv).set_index("label")
    assert df.loc[list(names), "probability"].to_numpy() == pytest.approx(wanted, abs=5e-3)  # resizing: 2 of 255

    assert command.run(words=["photo.png"], models=[other], top=1000, csv=csv) == 0
    config = timm.data.resolve_model_data_config(resnet)
    with torch.inference_mode():
        logits = resnet(timm.data.create_transform(**config, is_training=False)(image)[None])
    labels = naming.imagenet().labels
    df = pd.read_csv(csv).set_index("label")
    assert df.loc[list(labels), "probability"].to_numpy() == pytest.approx(softmax(logits[0].numpy()), abs=1e-4)
    assert "cat" in capsys.readouterr().out


def test_imagenet_is_told_in_open_clips_templates_and_kept(photo, clip_file, monkeypatch, capsys):
    (_, name), words = clip_file, ["photo.png"]
    classes = naming.imagenet()
    assert len(set(classes.labels)) == len(classes.names) == 1000
    assert classes.prompts.templates[0] == "itap of a {}."
    monkeypatch.setattr(naming, "MANY", 2)
    few = naming.Classes(("a", "b"), Prompts(templates=("{} x", "{} y")), ("a", "b"), imagenet=True)
    monkeypatch.setattr(naming, "imagenet", lambda: few)
    assert command.run(words=words, models=[name]) == 0
    before = capsys.readouterr().out
    monkeypatch.setattr(naming.clip, "encode_texts", None)  # not called again
    assert command.run(words=words, models=[name]) == 0
    assert capsys.readouterr().out.splitlines()[:4] == before.splitlines()[:4]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"words": []}, "no picture is named"),
        ({"words": ["http://127.0.0.1/a.png"]}, "is a URL, and nothing is fetched unasked: add --allow-urls"),
        ({"words": ["file:///etc/passwd"], "allow_urls": True}, "only http:// and https://"),
        ({"words": ["http://"], "allow_urls": True}, "names no server"),
        ({"words": ["empty"]}, "the folder empty has no picture in it"),
        ({"words": ["closed"]}, "closed cannot be read: Permission denied"),
        ({"classes": "cat"}, "has only one class, 'cat'"),
        ({"classes": "cat,dog,cat"}, "has the class 'cat' twice"),
        ({"classes": "cat,,dog"}, "has a class without a name"),
        ({"classes": "empty.txt"}, "has no class"),
        ({"classes": "none.txt"}, "is no file"),
        ({"classes": "~nobody-is-called-so/none.txt"}, "is no file"),
        ({"classes": ",".join(f"class {i // 2}" for i in range(200))}, "has the class 'class 0' twice"),
        ({"models": ["clip:ViT-B-23/openai"]}, "did you mean 'ViT-B-32'"),
        ({"models": ["clip:ViT-B-32/opanai"]}, "did you mean 'openai'"),
        ({"models": ["clip:ViT-B-32/openai"]}, "write clip:ViT-B-32-quickgelu/openai"),
        ({"models": ["clip:ViT-B-32"]}, "has no weights: write clip:ViT-B-32/TAG"),
        ({"models": ["clip:ViT-B-32@none.pt"]}, "there is no file"),
        ({"models": ["clip:"]}, "is no model"),
        ({"models": ["timm:resnext50_32x4"]}, "did you mean 'resnext50_32x4d'"),
        ({"models": ["timm:resnet50.a1_in2k"]}, "did you mean 'a1_in1k'"),
        (
            {"models": ["timm:resnet50"], "classes": "cat,dog"},
            "a head of 1000 classes and not 2 classes: leave --classes",
        ),
        ({"models": ["timm:vit_base_patch16_224.augreg_in21k"]}, "a head of 21843 classes and not ImageNet's 1,000"),
        ({"models": ["cron"]}, "did you mean 'corn'"),
        ({"models": ["corn:probe_h15"]}, "corn: unknown model 'probe_h15': did you mean"),
        ({"models": ["corn"]}, "corn has no finished model: ./run.sh corn"),
        ({"csv": "none/a.csv"}, "the folder none is not there"),
        ({"csv": "/proc/a.csv"}, "cannot be written: /proc"),
        ({"csv": f"{'a' * 256}.csv"}, "cannot be written: .: File name too long"),
        ({"html": f"{'a' * 256}/a.html"}, "is not there"),
        ({"html": "empty"}, "is a folder"),
        ({"csv": "photo.png"}, "would be written over"),
    ],
)
def test_what_cannot_be_done_is_refused_before_a_model_is_loaded(photo, arguments, said, monkeypatch):
    (photo.parent / "empty").mkdir()
    (photo.parent / "empty.txt").write_text("\n")
    (photo.parent / "closed").mkdir()
    monkeypatch.chdir(photo.parent)
    monkeypatch.setattr(command.Path, "iterdir", closed(command.Path.iterdir))
    monkeypatch.setattr(command.gathering, "gather", None)
    arguments = {"words": ["photo.png"], **arguments}
    arguments |= {name: command.Path(arguments[name]) for name in ("csv", "html") if name in arguments}
    with pytest.raises(UserError) as refused:
        command.run(**arguments)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def closed(listing):
    """The listing of a folder, of which one is not to be read; tests of root's may read any."""

    def listed(folder):
        if folder.name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return listing(folder)

    return listed


def test_a_word_that_is_too_long_for_a_file_or_has_an_unknown_home_is_a_picture_that_is_not_there(photo, tmp_path):
    words = [gathering.Word(word, from_caller(word)) for word in ("a" * 300, "~nobody-is-called-so/a.png")]
    gathering.check(words, allow_urls=False)
    found, faults = gathering.gather(words, tmp_path)
    assert [(len(found), one.why) for one in faults] == [(0, "cannot be opened: File name too long"), (0, "is missing")]


def test_weights_that_cannot_be_had_are_asked_for_by_the_models_name(photo, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"name it: clip:ViT-B-32-quickgelu/openai@input/open_clip_model\.safetensors"):
        command.run(words=["photo.png"], models=["clip:ViT-B-32-quickgelu/openai"])


def test_without_the_hub_the_weights_of_a_package_answer_and_what_is_left_out_is_named(photo, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert command.run(words=["photo.png"], top=1) == 0
    out = capsys.readouterr().out
    left_out = "without clip:ViT-B-32-quickgelu/openai and timm:resnext50_32x4d, whose weights the hub has: "
    assert left_out + "HF_HUB_OFFLINE is set" in out
    assert re.search(r"timm:tf_efficientnet_lite0\s+\d+\.\d ms", out)
    assert naming.imagenet().labels[0] == "tench"


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_the_timing_takes_two_passes_at_least_and_little_more_than_its_seconds(seconds, monkeypatch):
    monkeypatch.setattr(session, "WARM", seconds)
    monkeypatch.setattr(session, "SECONDS", seconds)
    calls = []
    ms = session.median_ms(lambda i: (calls.append(i), time.sleep(0.05)))
    assert 50 <= ms < 50_000
    assert len(calls) == 2 if seconds == 0 else 2 <= len(calls) <= 10


# The web


class Web(BaseHTTPRequestHandler):
    picture = b""
    redirections: ClassVar = {
        "/to-file": "file:///etc/passwd",
        "/to-ftp": "ftp://127.0.0.1/a",
        "/to-itself": "/to-itself",
        "/to-endless": "ftp://127.0.0.1/b",
    }

    def do_GET(self):
        status, body, length, where = 200, self.picture, None, None
        if self.path == "/large.png":
            body = bytes(urls.MAX_BYTES + 1)
        elif self.path == "/says-large":
            length = urls.MAX_BYTES + 1
        elif self.path == "/cut.png":
            length = len(body) + 9
        elif self.path == "/page.png":
            body = b"<html>no picture</html>"
        elif self.path == "/none":
            status = 404
        elif self.path.startswith("/to-"):
            status, where = 302, self.redirections.get(self.path, "/a")
        self.send_response(status)
        if where:
            self.send_header("Location", where)
        if self.path != "/large.png":  # or its length would tell
            self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        with suppress(ConnectionError):  # who asks may hang up
            self.wfile.write(body)
            while self.path == "/to-endless":
                self.wfile.write(bytes(1 << 16))

    def log_message(self, *_):
        pass


def test_a_url_gives_a_picture_or_the_reason_why_not(photo, tmp_path, monkeypatch):
    monkeypatch.setattr(urls, "MAX_BYTES", 1 << 20)
    monkeypatch.setattr(Web, "picture", photo.read_bytes())
    with serving(Web) as server:
        base, said = f"http://127.0.0.1:{server.server_port}", {}
        paths = ["a b.png", "to-here", "large.png", "says-large", "cut.png", "page.png", "none", "to-file", "to-ftp"]
        paths += ["to-itself", "to-endless"]
        for i, path in enumerate(paths):
            said[path] = urls.fetch(f"{base}/{path}", tmp_path / str(i)) or images.explain_fault(
                (tmp_path / str(i)).read_bytes()
            )
    assert said["a b.png"] is None
    assert said["to-here"] is None
    assert said["large.png"] == said["says-large"] == "is larger than 1 MB"
    assert said["cut.png"] == "broke off on its way"
    assert said["page.png"] == "is not an image"
    assert said["none"] == "cannot be fetched: the server says 404 Not Found"
    for path, target in (("to-file", "file:///etc/passwd"), ("to-ftp", "ftp://127.0.0.1/a")):
        assert said[path] == f"cannot be fetched: the server sends on to {target}, which is not fetched"
    assert said["to-itself"] == "cannot be fetched: Exceeded 30 redirects."
    assert said["to-endless"] == "cannot be fetched: the server sends on to ftp://127.0.0.1/b, which is not fetched"
    assert "refused" in urls.fetch(f"{base}/a", tmp_path / "a")  # nobody is there any more


def test_a_server_that_is_silent_slow_or_breaks_off_is_not_waited_for(tmp_path, monkeypatch):
    over = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/says-nothing":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
            with suppress(ConnectionError):
                while self.path != "/cut" and not over.wait(0.1):
                    if self.path == "/drips":
                        self.wfile.write(b"1\r\nx\r\n")
                        self.wfile.flush()

        def log_message(self, *_):
            pass

    monkeypatch.setattr(urls, "TOTAL_TIMEOUT_S", 1)
    with serving(Slow) as server:
        base = f"http://127.0.0.1:{server.server_port}"
        for path, silence, said in (
            ("says-nothing", 0.5, "cannot be fetched: the server was silent for 0.5 seconds"),
            ("stops", 0.5, "cannot be fetched: the server was silent for 0.5 seconds"),
            ("drips", 20, "did not arrive within 1 seconds"),
            ("cut", 20, "broke off on its way"),
        ):
            monkeypatch.setattr(urls, "SILENCE", silence)
            assert urls.fetch(f"{base}/{path}", tmp_path / path) == said
        over.set()


def test_names_of_files_and_classes_are_text_on_the_page(photo):
    nasty = command.Picture('<img src="x">\'&🌽', photo)
    text = page.render([nasty], [], [Prediction("<b>", ("<script>alert(1)</script>",), np.ones((1, 1)), {}, {})], 5)
    assert "<script>alert" not in text
    assert '<img src="x">' not in text
    assert "🌽" in text


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_pictures_of_twelve_bits_are_seen_and_shown_by_what_they_hold(ending, timm_file, tmp_path, capsys):
    shades = np.linspace(0, 4095, 40 * 40).reshape(40, 40)
    Image.fromarray(shades.astype(np.uint16)).save(tmp_path / f"deep.{ending}")
    Image.fromarray(np.round(shades / 4095 * 255).astype(np.uint8)).convert("RGB").save(tmp_path / "plain.png")
    html, csv = tmp_path / "page.html", tmp_path / "table.csv"
    words = [str(tmp_path / name) for name in (f"deep.{ending}", "plain.png")]
    command.run(words=words, models=[timm_file[1]], top=1000, csv=csv, html=html)
    assert "1 picture of more than 8 bits with no value above 4,095: that is white" in capsys.readouterr().out
    table = pd.read_csv(csv)
    deep, plain = (table[table["image"] == word].set_index("label")["probability"] for word in words)
    assert (deep - plain[deep.index]).abs().max() < 1e-3  # rounded to 8 bits by other numbers
    tiles = [
        Image.open(BytesIO(base64.b64decode(one)))
        for one in re.findall(r"image/webp;base64,([^\"]+)", html.read_text())
    ]
    deep, plain = (np.asarray(one.convert("L"), int) for one in tiles)
    assert deep.max() > 240
    assert np.abs(deep - plain).max() < 6


def test_a_finished_models_pictures_are_scaled_by_its_config_and_dark_ones_are_told(there, tmp_path, capsys):
    Image.fromarray(np.linspace(0, 4095, 400).reshape(20, 20).astype(np.uint16)).save(tmp_path / "deep.png")
    command.run(there, words=[str(tmp_path / "deep.png")], models=["probe"], html=tmp_path / "page.html")
    said = "toy:probe sees pictures with no value above 4,095 as dark: white=65535 is in its config"
    assert said in capsys.readouterr().out
