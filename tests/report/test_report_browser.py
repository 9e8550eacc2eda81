"""The report in a browser, where Chromium is installed (or CHROMIUM names it): nothing is fetched, nothing complains."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from src.commands import report
from src.data.rows import read_dataset
from src.results.model import model_tables
from src.stages import audit, blend, data, features, finetune, folds, probe, zeroshot
from tests import tasks
from tests.conftest import roots_at, toy_competition, toy_files
from tests.running import run_stage

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """The toy competition after a whole run, an audit and a report: once for all tests."""
    root = tmp_path_factory.mktemp("whole")
    toy_files(root / "input" / "toy")
    with roots_at(root):
        competition = toy_competition()
        for stage in (data, folds, features, zeroshot, probe, finetune, blend, audit):
            run_stage(stage, competition)
        report.run(competition)
        yield competition


@pytest.fixture
def whole(toy):
    return toy.report_html


@contextmanager
def opened(browser, path, **context) -> Iterator:
    """The page, of which every chart was in sight; fails if it says or fetches anything, or is wider than its window."""
    page = browser.new_page(**context)
    said, fetched = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(path.as_uri())
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        plot.locator("svg, canvas").first.wait_for()
    yield page
    assert said == []
    assert [url for url in fetched if not url.startswith(("data:", "blob:"))] == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.close()


def test_the_page_is_whole_on_a_desk_and_on_a_phone_and_can_be_light_or_dark(browser, whole):
    for width, scheme in ((1280, "light"), (390, "dark")):
        with opened(browser, whole, viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
            assert page.locator("h1").inner_text() == "Toy"
            assert page.locator("html").get_attribute("data-theme") == scheme
            before = page.evaluate("getComputedStyle(document.body).backgroundColor")
            page.click("#theme")
            assert page.locator("html").get_attribute("data-theme") != scheme
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_the_model_switch_shows_the_mistakes_of_that_model_and_one_opens(browser, whole, toy):
    rows = read_dataset(toy)
    oof, _ = model_tables(toy, "zeroshot", rows)
    wrong = int((oof.argmax(axis=1) != rows.targets).sum())
    assert wrong  # it has random weights
    with opened(browser, whole) as page:
        page.select_option("#mistakes-model", "zeroshot")
        assert page.locator("#mistakes-said").inner_text().startswith(f"{wrong} mistakes of zeroshot")
        assert page.locator("#mistakes-pictures > *").count() == min(wrong, 60)
        cells = page.locator("#mistakes .of-model:visible .cell")
        assert sum(int(cell.get_attribute("data-count")) for cell in cells.all()) == wrong
        cells.first.click()
        assert page.locator("#mistakes-pictures > *").count() == int(cells.first.get_attribute("data-count"))

        # a mistake opens with what every model says of it
        picture = page.locator("#mistakes-pictures button").first
        id = picture.locator("b").inner_text()
        picture.click()
        viewer = page.locator("#viewer")
        assert viewer.is_visible()
        said = viewer.inner_text()
        for text in (id, "zeroshot", "probe", "convnext", "blend"):
            assert text in said
        assert viewer.locator("img").evaluate("image => image.naturalWidth") > 1
        page.keyboard.press("Escape")
        assert not viewer.is_visible()


def test_a_point_of_the_map_shows_its_picture(browser, whole):
    with opened(browser, whole) as page:
        page.locator("#chart-data-map").evaluate("plot => plot.scrollIntoView({ block: 'center' })")
        page.wait_for_timeout(300)  # while it scrolls, pictures go
        x, y, row = page.evaluate(
            """() => {
                const view = report.views.get("data-map").view, box = document.querySelector("#chart-data-map canvas").getBoundingClientRect();
                const dot = Object.values(report.specs["data-map"].datasets)[0][5], [left, top] = view.origin(), pad = view.padding();
                return [box.left + left + pad.left + view.scale("x")(dot.x), box.top + top + pad.top + view.scale("y")(dot.y), dot.row];
            }"""
        )
        page.mouse.move(x, y)
        tip = page.locator("#map-tip")
        assert tip.is_visible()
        names = page.evaluate("report.read('data').map.rows")
        assert tip.get_attribute("data-row") == names[row]
        page.mouse.move(x - 300, 2)
        assert not tip.is_visible()


@pytest.fixture
def page_of(roots):
    """page_of("labels"): the page of a made-up competition of that kind."""

    def page_of(kind: str):
        competition = tasks.competition_of(roots, kind)
        data.run(competition)
        for seed, name in enumerate(("a", "b", "blend")):
            tasks.save(competition, kind, name, skill=1 + seed, seed=seed)
        report.run(competition)
        return competition.report_html

    return page_of


def test_a_labels_mistakes_are_shown_by_a_click_on_their_count(browser, page_of):
    with opened(browser, page_of("labels"), viewport={"width": 390, "height": 800}) as page:
        page.select_option("#mistakes-model", "a")
        wrong = int(page.locator("#mistakes-said").inner_text().rpartition(" mistakes of a")[0].rpartition(" ")[2])
        cells = page.locator("#mistakes .of-model:visible .cell")
        assert sum(int(cell.get_attribute("data-count")) for cell in cells.all()) == wrong
        missed = page.locator('#mistakes .of-model:visible .cell[data-what="missed"]').first
        missed.click()
        shown = page.locator("#mistakes-pictures > *")
        assert shown.count() == int(missed.get_attribute("data-count"))
        assert all("−" in text for text in shown.all_inner_texts())
        shown.first.locator("button").click()
        said = page.locator("#viewer").inner_text()
        assert all(text in said for text in ("labels", "a", "blend", *tasks.NAMES))


def test_a_numbers_furthest_pictures_follow_the_model(browser, page_of):
    with opened(browser, page_of("number"), color_scheme="dark") as page:
        page.select_option("#mistakes-model", "a")
        assert page.locator("#mistakes-said").inner_text() == "The 60 rows that a is furthest off."
        off = [
            float(text.split("\n")[-1].replace("−", "-"))
            for text in page.locator("#mistakes-pictures > *").all_inner_texts()
        ]
        assert [abs(one) for one in off] == sorted(map(abs, off), reverse=True)
        page.locator("#mistakes-pictures button").first.click()
        assert "off by" in page.locator("#viewer").inner_text()
