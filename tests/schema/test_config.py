"""The schema refuses what it does not know; every config of the repository loads."""

import pytest
from pydantic import ValidationError

from src import config, configs
from src.base import paths
from src.base.errors import UserError
from src.base.paths import ROOT
from src.configs.shared import class_names
from src.data.sources.kaggle import Kaggle
from src.schema.competition import Competition
from src.schema.models import Augment, FineTune, Probe, Prompts, ZeroShot
from src.schema.networks import ClipArch
from src.schema.settings import Folds
from tests.conftest import TINY_CLIP, toy_competition


@pytest.mark.parametrize("name", config.names())
def test_every_config_of_the_repository_loads(name):
    assert config.load(name).name == name


@pytest.fixture
def written(tmp_path, monkeypatch):
    """written(text) makes a config `mine` of corn's with one more statement, and loads it."""

    def load(statement: str):
        folder = tmp_path / "src" / "configs"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mine.py").write_text(
            f"from src.config import *\nfrom src.configs.corn import competition\n{statement}\n"
        )
        monkeypatch.setattr(paths, "CONFIGS", folder)
        monkeypatch.setattr("src.configs.__path__", [str(folder), str(ROOT / "src/configs")])
        monkeypatch.delitem(__import__("sys").modules, "src.configs.mine", raising=False)
        return config.load("mine")

    return load


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("Probe(clip='ViT-B-32', wieghts='openai')", "Probe.wieghts is not a field: did you mean weights"),
        ("FineTune(backbone='x', epochs=3, lr='1e-4')", "FineTune.lr must be a number, without quotes, not '1e-4'"),
        ("FineTune(backbone='x', epochs=3, lr=-1.0)", "FineTune.lr: input should be greater than 0, not -1.0"),
        ("FineTune(backbone='x', epochs=3.5, lr=1e-4)", "FineTune.epochs must be a whole number"),
        ("FineTune(backbone='x', lr=1e-4)", "FineTune.epochs is missing"),
        ("FineTune(backbone='x', epochs=1, lr=1e-4)", "warmup_epochs (1.0) must be less than epochs (1)"),
        ("Folds(n=2)", "Folds.n: input should be greater than or equal to 3, not 2"),
        ("Prompts(templates=('a photo',))", "needs one {}"),
        ("Prompts(templates=('a photo of {class}',))", "needs one {}"),
        ("Prompts(templates=('a photo} of {}',))", "needs one {}"),
        ("Prompts(templates=())", "there is no template"),
        ("Prompts(templates=('a {}',), classnames={'pure': ()})", "the class 'pure' has no phrase"),
        (
            "competition.model_copy(update={'prompts': Prompts(class_templates={'pure': ('a {}',)})})",
            "prompts: the class 'broken' has no template",
        ),
        (
            "competition.model_copy(update={'prompts': Prompts(templates=('a {}',), class_templates={'pur': ('a {}',)})})",
            "prompts.class_templates: unknown class 'pur': did you mean 'pure'",
        ),
        ("Probe(weights='openai')", "give it either clip=... or backbone=..."),
        ("Probe(clip='ViT-B-32', backbone='resnet50')", "give it either clip=... or backbone=..."),
        ("Probe(backbone='resnet50', weights='a1_in1k')", "backbone='resnet50.<tag>'"),
        ("Probe(clip='ViT-B-32', img_size=336)", "are a backbone's, not a clip's"),
        ("Probe(clip='ViT-B-32', views=('hflip', 'hflip'))", "a view is named twice"),
        ("Probe(clip='ViT-B-32', cs=())", "Probe.cs"),
        ("Probe(clip='ViT-B-32', cs=(1.0, -1.0))", "greater than 0, not -1.0"),
        ("Probe(clip='ViT-B-32', normalise=())", "Probe.normalise"),
        ("Probe(backbone='resnet50', towards='zeroshot')", "needs a model that reads texts"),
        ("Probe(clip='ViT-B-32', towards='zeroshot', solver='scikit-learn')", "solver='batched'"),
        ("ZeroShot(backbone='resnet50')", "zero-shot needs a model that reads texts"),
        ("Probe(clip='ViT-B-32', cs=(1.0, 0.0))", "greater than 0, not 0.0"),
        ("Probe(clip='ViT-B-32', views=('flip',))", "'identity', 'hflip'"),
        (
            "competition.model_copy(update={'clases': ('a', 'b')})",
            "Competition.clases is not a field: did you mean classes",
        ),
        ("competition.model_copy(update={'classes': ['a', 'b']})", "Competition.classes must be a tuple"),
        ("competition.model_copy(update={'classes': ('a', 'a')})", "a class is named twice"),
        ("competition.model_copy(update={'metric': 'acuracy'})", "unknown metric 'acuracy': did you mean 'accuracy'"),
        ("competition.model_copy(update={'models': {'blend': ZeroShot(clip='x')}})", "call the model something else"),
        ("competition.model_copy(update={'blend': Blend(models=('convnext',))})", "did you mean 'convnext_base'"),
        ("competition.model_copy(update={'blend': Blend(method='ranks')})", "ranks lose what accuracy looks at"),
        (
            "competition.model_copy(update={'blend': Blend(method='ranks'), 'metric': 'auc'})",
            "ranks of more than two classes are not offered",
        ),
        ("Kaggle('../etc')", "Kaggle.slug"),
        ("Competition(title='x', source=Kaggle('x'), classes=('a', 'b'))", "Competition.models is missing"),
        ("1 +", "src/configs/mine.py, line 3"),
        ("Competitoin()", "Competitoin"),
        ("0; from src.config import Prob", "cannot import name 'Prob' from 'src.config'"),
        ("0; from src.confgi import Probe", "No module named 'src.confgi'"),
    ],
)
def test_a_wrong_config_is_one_sentence_with_file_and_line(written, statement, said):
    with pytest.raises(UserError) as error:
        written(f"competition = {statement}")
    assert said in str(error.value)
    assert "mine.py, line 3" in str(error.value)


def test_the_usual_files_columns_and_metric_need_not_be_given():
    usual = {"title": "x", "source": Kaggle("x"), "classes": ("a", "b"), "models": {"probe": Probe(clip=TINY_CLIP)}}
    files = {"train": "train.csv", "test": "test.csv", "sample_submission": "sample_submission.csv"}
    columns = {"id": "id", "image": "image", "label": "label"}
    assert Competition(**usual) == Competition(**usual, **files, **columns, metric="accuracy")


def test_a_bug_in_a_config_keeps_its_traceback(written):
    with pytest.raises(ZeroDivisionError):
        written("1 / 0")


def test_a_package_that_a_config_lacks_is_not_its_fault(written):
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        written("import no_such_package")


def test_what_an_editor_or_a_mac_leaves_beside_a_config_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CONFIGS", tmp_path)
    (tmp_path / "leaves.py").write_text("title = 'Leaves'\n")
    (tmp_path / "._leaves.py").write_bytes(b"\0\5\26\7\xff")
    (tmp_path / ".#leaves.py").symlink_to("somebody@somewhere.1234")
    assert config.names() == [*configs.titles()] == ["leaves"]
    (tmp_path / "gone.py").symlink_to("nowhere.py")
    assert configs.titles() == {"gone": "(cannot be read)", "leaves": ""}


def test_no_such_competition_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'corn'"):
        config.load("cron")


def test_a_config_is_frozen():
    with pytest.raises(ValidationError):
        toy_competition().metric = "log_loss"


def test_a_variant_replaces_fields_of_another_and_is_checked():
    variant = toy_competition().model_copy(update={"folds": Folds(n=4)})
    assert (variant.folds.n, variant.classes) == (4, toy_competition().classes)
    with pytest.raises(ValidationError):
        toy_competition().model_copy(update={"fold": Folds(n=4)})


class TestClassNames:
    """Lists of classes in text files."""

    @pytest.fixture
    def toys(self, tmp_path, monkeypatch):
        monkeypatch.setattr(class_names, "FOLDER", tmp_path)
        return tmp_path / "toys.txt"

    def test_a_line_is_a_label_with_or_without_phrases(self, toys):
        toys.write_text("# of a shop\nyo-yo, small\nball = red ball; günther's  ball\n  kite  \n", encoding="utf-8")
        labels, phrases = class_names.read("toys")
        assert labels == ("yo-yo, small", "ball", "kite")
        assert phrases == {"ball": ("red ball", "günther's  ball")}

    @pytest.mark.parametrize(
        ("raw", "said"),
        [
            (b"a\n\nb\n", "line 2: '' is neither 'label' nor 'label = phrase; phrase'"),
            (b"# x\na =\n", "line 2: 'a =' is neither 'label' nor 'label = phrase; phrase'"),
            (b"= a\n", "line 1: '= a' is neither"),
            (b"a = b;; c\n", "line 1: 'a = b;; c' is neither"),
            (b"a\nb\na = c\n", "line 3: the class 'a' is listed twice: take one out"),
            (b"a\nb\xff\n", "line 2: not UTF-8 text"),
        ],
    )
    def test_a_faulty_line_is_refused_with_its_number(self, raw, said, toys):
        toys.write_bytes(raw)
        with pytest.raises(UserError) as error:
            class_names.read("toys")
        assert f"{toys}, {said}" in str(error.value)

    def test_a_missing_list_is_refused_with_the_nearest(self, toys):
        toys.write_text("a\n")
        with pytest.raises(UserError, match=r"unknown list of classes 'toy': did you mean 'toys'.*in /"):
            class_names.read("toy")

    def test_each_list_is_that_of_the_config_of_its_name(self):
        for path in class_names.FOLDER.glob("*.txt"):
            competition, (labels, phrases) = config.load(path.stem), class_names.read(path.stem)
            assert competition.classes == labels
            assert competition.prompts.classnames == phrases


def test_paths_are_under_the_two_roots(roots):
    competition = toy_competition()
    assert competition.input("train.csv") == roots / "input/toy/train.csv"
    assert competition.folds_csv == roots / "submissions/toy/folds.csv"


def test_pictures_lie_with_the_results_or_in_scratch_folders_that_are_as_many(roots, monkeypatch):
    small = toy_competition(limit=20)
    assert small.pictures == roots / "submissions/toy-limit20/pictures"
    monkeypatch.setenv("SCRATCH_DIR", str(roots / "scratch"))
    found = [small.pictures, toy_competition().pictures]
    monkeypatch.setenv("SUBMISSIONS_DIR", str(roots / "others"))
    found.append(toy_competition().pictures)
    assert len(set(found)) == 3
    assert all(path.is_relative_to(roots / "scratch") for path in found)
    assert found[0].parent.name.startswith("toy-limit20-")
    (roots / "link").symlink_to(roots / "others")
    monkeypatch.setenv("SUBMISSIONS_DIR", str(roots / "link"))
    assert toy_competition().pictures == found[2]


def test_a_smoke_run_has_folders_of_its_own(roots):
    assert toy_competition(limit=20).folder == roots / "submissions/toy-limit20"


def test_zero_shot_without_prompts_is_refused():
    with pytest.raises(ValidationError, match="prompts are missing: the model 'zeroshot' needs them"):
        toy_competition(prompts=None)


def test_every_template_is_filled_with_every_phrase():
    prompts = Prompts(templates=("a {}", "the {}"), classnames={"pure": ("pure", "clean")})
    assert prompts.texts("pure") == ["a pure", "the pure", "a clean", "the clean"]
    assert prompts.texts("other") == ["a other", "the other"]


def test_parts_that_the_tests_use_are_what_they_say():
    assert isinstance(TINY_CLIP, ClipArch)
    assert Augment("Affine", rotate=(-1, 1)).args == {"rotate": (-1, 1)}
    assert {ZeroShot.stage, Probe.stage, FineTune.stage} == {"zeroshot", "probe", "finetune"}
    assert Kaggle("corn").page.endswith("/corn")
