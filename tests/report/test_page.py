import dataclasses
import html.parser
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_grid import COMMAND, grid

from cptlab.decisions.recommend import recommend
from cptlab.decisions.tradeoff import Tradeoff
from cptlab.fitting.fit import fit
from cptlab.report.page import write_report

FIGURES = {  # key: panels of the study with two corpora
    "loss_against_share": 2, "tradeoff": 1, "delta_at_choice": 1, "coverage": 1, "delta_against_share": 2,
    "delta_against_tokens": 2, "contours_tokens": 2, "extrapolation_size": 2, "extrapolation_tokens": 2,
    "predicted_against_measured": 4, "heldout_error": 2, "residuals": 8, "correlation": 2,
}  # fmt: skip
OWN = re.compile(r"<script>.*?</script>", re.DOTALL)  # plotly and the page's own few lines
HOSTILE = "<script>alert(1)</script>"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def page(study, tmp_path_factory) -> Path:
    return write_report(tmp_path_factory.mktemp("report"), *study)


class Balance(html.parser.HTMLParser):
    """Collects every id, and every end tag that closes something else than the innermost open element."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.ids = [], [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in {"meta", "br", "hr", "img", "link", "input"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))


def test_the_page_is_balanced_html_with_unique_ids(page):
    parser = Balance()
    parser.feed(page.read_text(encoding="utf-8"))
    assert not parser.wrong
    assert not parser.open
    assert len(parser.ids) == len(set(parser.ids))


def test_nothing_is_loaded_from_outside(page):
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == 3
    text = OWN.sub("", text)
    assert not re.findall(r"https?://|//cdn|@import|<script src|<link|<iframe", text)
    references = re.findall(r"(?:src|href)=\"([^\"]*)\"|url\(([^)]*)\)", text)
    assert {one or other for one, other in references} == {f"figures/{key}.png" for key in FIGURES}
    assert "Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline';" in text


def test_no_button_sends_the_data_away(page):
    text = page.read_text(encoding="utf-8")
    assert 'showSendToCloud: false, plotlyServerURL: ""' in text
    assert '"sendChartToCloud"' in text


def test_the_card_says_share_interval_and_command(page, study):
    text = page.read_text(encoding="utf-8")
    answer = study[2]
    low, high = answer.interval["domain_share"]
    assert "Train this" in text
    assert f"<strong>{100 * answer.choice['domain_share']:.0f} %</strong>" in text
    assert f"[{100 * low:.1f}, {100 * high:.1f}]" in text or f"[{100 * low:.0f}, {100 * high:.0f}]" in text
    assert COMMAND in text


def test_bits_per_byte_are_nats_over_ln_2_over_bytes_per_token(page, study):
    middle = study[2].predicted["code"][1]
    assert f"{middle / np.log(2) / 2.6:.3f}" in page.read_text(encoding="utf-8")


def test_bits_per_byte_are_left_out_where_the_bytes_are_unknown(study, tmp_path):
    table, fits, answer, facts = study
    columns = {name: column for name, column in table.columns.items() if name != "bytes_per_token"}
    page = write_report(tmp_path, dataclasses.replace(table, columns=columns), fits, answer, facts)
    assert "bit/byte" not in page.read_text(encoding="utf-8")


def test_what_was_left_out_and_where_it_came_from_are_told(page):
    text = page.read_text(encoding="utf-8")
    for words in ("63 × rows before the end of warm-up", "1 × diverged", "Rows after warm-up", "runs/"):
        assert words in text


def test_every_figure_is_a_png_with_something_on_it(page):
    paths = list((page.parent / "figures").iterdir())
    assert {path.name for path in paths} == {f"{name}.png" for name in FIGURES}
    for path in paths:
        with Image.open(path) as image:
            assert image.width >= 500
            assert np.asarray(image.convert("L")).std() > 5


def test_every_drawing_has_words_beside_it(page):
    text = page.read_text(encoding="utf-8")
    words = re.findall(r'class="graph" role="img" aria-label="([^"]+)"', text)
    assert len(words) == text.count('aria-label="Numbers: ') == sum(FIGURES.values())
    assert min(map(len, words)) > 30
    assert text.count("<figcaption>") == text.count("<details>") == len(FIGURES)


def test_the_same_study_gives_the_same_bytes_within_seconds(page, study, tmp_path):
    start = time.process_time()
    again = write_report(tmp_path, *study)
    assert time.process_time() - start < 10
    assert again.read_bytes() == page.read_bytes()
    for path in (again.parent / "figures").iterdir():
        assert path.read_bytes() == (page.parent / "figures" / path.name).read_bytes()


@pytest.fixture(scope="session")
def hostile(tmp_path_factory) -> Path:
    table = grid(domain=HOSTILE, general="a$b$ & \"'", seeds=False)
    fits = {name: fit("dcpt", table, domain=name, num_draws=8, heldout=False) for name in table.domains}
    answer = recommend(fits, Tradeoff(general="a$b$ & \"'", domain=HOSTILE, max_general_rise=0.01))
    answer = dataclasses.replace(answer, because=HOSTILE, binding=HOSTILE, extrapolation=[HOSTILE], command=HOSTILE)
    facts = {"title": HOSTILE, "left_out": {HOSTILE: 3}, "origin": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    return write_report(tmp_path_factory.mktemp("hostile"), table, fits, answer, facts)


def test_names_and_sentences_of_the_user_are_escaped(hostile):
    text = hostile.read_text(encoding="utf-8")
    assert text.count("<script") == 3
    assert HOSTILE not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 20
    assert "\\u0026lt;script\\u0026gt;alert(1)" in text  # in the figures: escaped for plotly, then for HTML
    parser = Balance()
    parser.feed(text)
    assert not parser.wrong


def test_measure_first_shows_the_next_runs_instead_of_an_order_to_train(study, tmp_path):
    table, fits, answer, facts = study
    runs = [{"mixture.domain_share": 0.45, "seed": 1}]
    unsure = dataclasses.replace(
        answer, verdict="measure_first", next_runs=runs, extrapolation=["tokens lie outside."], command=None
    )
    text = write_report(tmp_path, table, fits, unsure, facts).read_text(encoding="utf-8")
    for words in ("Measure first", "mixture.domain_share=0.45 seed=1", "tokens lie outside.", "Best guess"):
        assert words in text
    assert "Train with" not in text


def test_an_abstention_shows_no_choice_but_all_that_was_measured(study, tmp_path):
    table, fits, answer, _ = study
    silent = dataclasses.replace(
        answer, verdict="abstain", choice={}, interval={}, predicted={}, command=None, curves=None
    )
    page = write_report(tmp_path, table, fits, silent, {})
    text = page.read_text(encoding="utf-8")
    assert "No recommendation" in text
    assert "Train with" not in text
    assert {path.stem for path in (page.parent / "figures").iterdir()} == set(FIGURES) - {"delta_at_choice"}
    assert "<b>Predicted change at the choice</b>: left out, nothing is chosen." in text


def test_without_base_losses_the_changes_are_left_out_and_the_rest_is_shown(study, tmp_path):
    _, _, answer, _ = study
    table = grid(base=False, seeds=False)
    fits = {name: fit("dcpt", table, domain=name, num_draws=0, heldout=False) for name in table.domains}
    silent = dataclasses.replace(answer, verdict="abstain", choice={}, interval={}, predicted={}, curves=None)
    page = write_report(tmp_path, table, fits, silent, {})
    names = {path.stem for path in (page.parent / "figures").iterdir()}
    assert names == {
        "loss_against_share", "coverage", "predicted_against_measured", "contours_tokens", "extrapolation_size",
        "extrapolation_tokens", "residuals",
    }  # fmt: skip
    assert "Nothing was held out" in page.read_text(encoding="utf-8")


FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --virtual-time-budget=20000 --enable-logging=stderr --dump-dom"""


def browse(address: str, profile: Path, size: str) -> tuple[str, list[str]]:
    """(the document after its scripts ran, what they wrote to the console)."""
    command = [str(CHROMIUM), *FLAGS.split(), f"--window-size={size}", f"--user-data-dir={profile}", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found")
def test_every_figure_is_drawn_in_a_real_browser_without_a_word_on_the_console(page, tmp_path):
    document, console = browse(page.as_uri(), tmp_path / "profile", "1280,14000")
    assert console == []
    document = OWN.sub("", document)
    assert len(re.findall(r'class="graph js-plotly-plot"', document)) == sum(FIGURES.values())
    legends = re.findall(r'class="legendtext"[^>]*>([^<]*)<', document)
    assert {"28.4k", "102k", "301k", "measured range", "seed noise"} <= set(legends)
    assert not [name for name in legends if name.startswith("trace")]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found")
def test_hostile_names_are_shown_as_they_are_in_the_figures(hostile, tmp_path):
    document, console = browse(hostile.as_uri(), tmp_path / "profile", "1280,14000")
    assert console == []
    titles = re.findall(r'class="xtitle"[^>]*>([^<]*)<', document)
    assert "share of &lt;script&gt;alert(1)&lt;/scrip… in the tokens [%]" in titles
    assert "rise of loss on a$b$ &amp; \"' [%]" in titles


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found")
@pytest.mark.parametrize("which", ["page", "hostile"])
def test_the_page_fits_phones_and_desktops_in_a_real_browser(which, request, tmp_path):
    source = request.getfixturevalue(which)
    widths = (360, 390, 1280)
    measure = "this.title = this.contentDocument.documentElement.scrollWidth"
    frames = [
        f'<iframe style="width:{width}px;height:6000px;border:0" src="{source.name}" onload="{measure}"></iframe>'
        for width in widths
    ]
    outer = source.with_name("outer.html")
    outer.write_text(f"<body>{''.join(frames)}</body>", encoding="utf-8")
    command = [f"--user-data-dir={tmp_path / 'profile'}", "--allow-file-access-from-files", outer.as_uri()]
    done = subprocess.run(
        [str(CHROMIUM), *FLAGS.split(), "--window-size=1400,7000", *command],
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    found = [int(width) for width in re.findall(r'<iframe[^>]*? title="(\d+)"', done.stdout)]
    assert len(found) == len(widths)
    assert all(got <= width for got, width in zip(found, widths, strict=True)), found
