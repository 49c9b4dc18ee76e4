"""The report says what the ledger says, alarms where it must, and its page works in a browser."""

from __future__ import annotations

import csv
import io
import random
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from fractions import Fraction
from itertools import product
from pathlib import Path

import attrs
import pytest

pytest.importorskip("matplotlib")

from certkit.cli.main import main
from certkit.task import Task
from proofs.report import Report, make_report, read_study, write_report
from proofs.report.figures import Regression, all_figures
from proofs.report.study import ModelRow, ResultRow, Setting, Study
from proofs.report.tables import best_per_model, class_table, model_table, result_table, strategy_table
from proofs.strategy import strategies
from proofs.sweep import Audited, Facts, Job, Ledger, ModelFile, Outcome, Proof, Status, SweepError

SUBCUBIC = "EUPU-mean-query+max-diff--attn-mean-query+diff--attn-err-svd"


def made_up_study(
    models: int = 4, settings: tuple[Setting, ...] = (Setting(4, 64), Setting(10, 64))
) -> Study:
    draw = random.Random(0)
    rows, results = [], []
    for setting in settings:
        for seed in range(models):
            name = f"k{setting.k}-v{setting.vocab}-s{seed}"
            model = ModelRow(name, f"{name:0>64}", setting, 0.999, Fraction(1), setting.k > 5, 500.0 + seed)
            rows.append(model)
            for number, strategy in enumerate(strategies()):
                results.append(
                    ResultRow(
                        model=model,
                        strategy=strategy.name,
                        version=strategy.version,
                        family=str(strategy.family),
                        complexity_class=str(strategy.complexity_class),
                        semantics=str(strategy.semantics),
                        bound=Fraction(draw.randrange(900), 1000),
                        certificate=f"{number:064}",
                        search_s=0.5,
                        verify_s=0.25,
                        flops=draw.randrange(10**5, 10**9),
                        comparisons=7,
                        int_ops=3,
                        unexplained_dimension=draw.randrange(10, 10**5),
                    )
                )
    return Study(tuple(rows), tuple(results), ())


@pytest.fixture(scope="module")
def study() -> Study:
    return made_up_study()


@pytest.fixture(scope="module")
def report(study: Study) -> Report:
    return make_report(study)


def test_the_class_table_is_the_best_of_each_class(study: Study) -> None:
    table = class_table(study)
    expected = {}
    for setting in study.settings:
        for label in {row.label for row in study.results}:
            best = [
                max(r.bound for r in study.results if r.model == m and r.label == label)
                for m in study.models
                if m.setting == setting
            ]
            expected[str(setting), label] = float(sum(best)) / len(best)
    got = {(row[0], row[1]): row[4] for row in table.rows}
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        assert abs(got[key] - value) < 1e-12
    assert table.rows[0][1] == "published brute-force"


def test_other_tables_count_everything(study: Study, report: Report) -> None:
    assert len(strategy_table(study).rows) == len(
        {(r.strategy, r.model.setting, r.semantics) for r in study.results}
    )
    assert len(model_table(study).rows) == len(study.models)
    for table in report.tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}
        read = list(csv.reader(io.StringIO(table.csv())))
        assert read[0] == list(table.columns)
        assert len(read) == len(table.rows) + 1


def test_semantics_are_never_mixed(study: Study) -> None:
    real = attrs.evolve(study.results[0], semantics="real")
    executed = attrs.evolve(real, semantics="float32")
    labels = [row[1] for row in class_table(Study((real.model,), (real, executed), ())).rows]
    assert labels == [
        f"{real.family} {real.complexity_class}",
        f"{real.family} {real.complexity_class} (float32)",
    ]


def test_no_table_says_more_than_was_certified(study: Study) -> None:
    """Bounds and their means are rounded down."""
    third = Fraction(1, 3)
    results = tuple(attrs.evolve(row, bound=third) for row in study.results[:3])
    one = Study((results[0].model,), results, ())
    tables = [class_table(one), strategy_table(one), model_table(one), result_table(one)]
    names = ["bound", "bound", results[0].family, "bound"]
    for table, name in zip(tables, names, strict=True):
        for row in table.rows:
            shown = Fraction(row[table.columns.index(name)])
            assert third - Fraction(1, 2**50) < shown <= third
    assert Fraction(strategy_table(one).rows[0][strategy_table(one).columns.index("least")]) <= third


def test_equal_bounds_prefer_the_cheaper(study: Study) -> None:
    row = study.results[0]
    dear, cheap = attrs.evolve(row, flops=10), attrs.evolve(row, flops=9)
    assert best_per_model([dear, cheap]) == [cheap]


def test_every_figure_is_svg_with_its_name(report: Report) -> None:
    names = [figure.name for figure in report.figures]
    assert len(set(names)) == len(names) == 1 + 4 * 2
    for figure in report.figures:
        assert ET.fromstring(figure.svg).tag == "{http://www.w3.org/2000/svg}svg"
    small = made_up_study(1, (Setting(4, 64),))
    once, again = (all_figures(small) for _ in range(2))
    assert once == again


def test_a_bound_above_the_accuracy_raises_the_alarm(study: Study, report: Report, tmp_path: Path) -> None:
    assert report.suspicious == ()
    assert "are above the accuracy" not in write_report(report, tmp_path).read_text()
    first = study.results[0]
    limit = Fraction(999, 1000)
    model = attrs.evolve(first.model, accuracy_upper=limit)
    exact = attrs.evolve(first, model=model, bound=limit)
    above = attrs.evolve(first, model=model, bound=limit + Fraction(1, 64**20))
    wrong = make_report(Study((model,), (exact, above), ()))
    assert wrong.suspicious == (above,)
    text = write_report(wrong, tmp_path).read_text()
    assert "1 certified bounds are above the accuracy" in text


def test_the_page_needs_nothing_else(report: Report, tmp_path: Path) -> None:
    text = write_report(report, tmp_path).read_text()
    links = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(r"https?://(?!www\.w3\.org)", re.sub(r"base64,[^\"]*", "", text))
    assert {p.name for p in (tmp_path / "data").iterdir()} >= {"classes.csv", "results.csv", "strategies.csv"}


def test_regression() -> None:
    line = Regression.of([1.0, 2.0, 3.0], [2.0, 1.0, 0.0])
    assert line is not None
    assert (line.slope, line.intercept, line.points) == (-1.0, 3.0, 3)
    assert Regression.of([1.0, 2.0], [1.0, 2.0]) is None
    assert Regression.of([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None


def test_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="holds no sweep"):
        read_study(tmp_path)


def test_a_ledger_becomes_a_study(tmp_path: Path) -> None:
    model = ModelFile("models/k20-v512-s0.safetensors", "a" * 64, 20, 512)
    unmeasured = ModelFile("models/<odd> & name.safetensors", "b" * 64, 3, 4)
    correct, total = 512**20 - 5, 512**20
    proof = Proof("c" * 64, str(correct), None, str(total), "separable", "quartic", 10, 20, 30, 40, 50, 60)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.add_models([model, unmeasured])
        job = Job(model, "separable-tail", 1, "real")
        ledger.record(Outcome(job, Status.PROVED, 1.0, proof=proof))
        facts = Facts("999", "1000", True, 0.99, 0.9995, 9.0, 3.0)
        ledger.record(Outcome(Job.facts(model), Status.PROVED, 1.0, facts=facts))
        bad = Job(unmeasured, "cubic", 1, "real")
        ledger.record(Outcome(bad, Status.TIME, 600.0, "more than 600 s"))
    study = read_study(tmp_path)
    assert study.settings == [Setting(3, 4), Setting(20, 512)]
    (row,) = study.results
    assert row.bound == Fraction(correct, total)
    assert (row.model.ratio, row.verify_s) == (3.0, 20e-6)
    report = make_report(study)
    assert report.suspicious == (row,)
    text = write_report(report, tmp_path / "report").read_text()
    bound = 1 - 2.0**-53  # the largest float that is no more than the bound
    assert f'data-value="{bound!r}">0.99999</td>' in text
    assert 'data-value="1.0"' not in text
    data = csv.DictReader(io.StringIO((tmp_path / "report" / "data" / "results.csv").read_text()))
    assert [float(line["bound"]) for line in data] == [bound]
    assert "&lt;odd&gt; &amp; name" in text
    assert "more than 600 s" in text


@pytest.mark.parametrize(("correct", "above"), [(9_950, False), (9_995, False), (9_996, True)])
def test_a_sampled_accuracy_is_known_up_to_the_upper_end_of_its_interval(
    correct: int, above: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ModelFile("models/k10.safetensors", "a" * 64, 10, 4)
    proof = Proof("c" * 64, str(correct), None, "10000", "separable", "quartic", 10, 20, 30, 40, 50, 60)
    facts = Facts("999", "1000", True, 0.99, 0.9995, 9.0, 3.0)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.add_models([model])
        ledger.record(Outcome(Job(model, "separable-tail", 1, "real"), Status.PROVED, 1.0, proof=proof))
        ledger.record(Outcome(Job.facts(model), Status.PROVED, 1.0, facts=facts))
    (row,) = read_study(tmp_path).results
    assert row.exceeds_accuracy == above
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == above
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'report' / 'index.html'}\n"
    assert ("separable-tail on k10: the bound is above the accuracy" in told.err) == above


@pytest.mark.parametrize(("verdict", "code"), [("verified", 0), ("refuted", 1), ("undecided", 1)])
def test_the_command_fails_if_an_audit_did(
    verdict: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.add_models([ModelFile("one.safetensors", "a" * 64, 3, 4)])
        ledger.record_audit(Audited("c" * 64, "k" * 64, verdict, "claim", 1.0))
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "report")]) == code
    assert (f"is not verified: {verdict} (claim)" in capsys.readouterr().err) == (code == 1)


def test_two_folders_are_one_study_and_a_proof_in_either_counts(tmp_path: Path) -> None:
    one, two = (
        ModelFile("models/one.safetensors", "a" * 64, 3, 4),
        ModelFile("two.safetensors", "b" * 64, 3, 5),
    )
    proof = Proof("c" * 64, "60", None, "64", "separable", "quartic", 10, 20, 30, 40, 50, 60)
    job = Job(one, "separable-tail", 1, "real")
    proved, late = Outcome(job, Status.PROVED, 1.0, proof=proof), Outcome(job, Status.TIME, 600.0, "late")
    for name, outcome, models in (("first", late, [one]), ("second", proved, [one, two])):
        (tmp_path / name).mkdir()
        with Ledger(tmp_path / name / "ledger.sqlite") as ledger:
            ledger.add_models(models)
            ledger.record(outcome)
    for names in (["first", "second"], ["second", "first"], ["second", "second"]):
        study = read_study(*(tmp_path / name for name in names))
        assert [model.name for model in study.models] == ["one", "two"]
        assert [row.bound for row in study.results] == [Fraction(60, 64)]
        assert study.failures == ()
    with pytest.raises(SweepError, match="no results folder"):
        read_study()


@pytest.mark.parametrize("newest", [Status.PROVED, Status.TIME])
def test_of_several_versions_the_newest_counts_even_if_an_older_one_reached_more(
    newest: Status, tmp_path: Path
) -> None:
    model = ModelFile("one.safetensors", "a" * 64, 3, 4)
    proof = Proof("c" * 64, "60", None, "64", "separable", "quartic", 10, 20, 30, 40, 50, 60)
    less = attrs.evolve(proof, certificate="d" * 64, correct="50")
    jobs = [Job(model, "separable-union", version, "real") for version in (9, 10)]
    late = Outcome(jobs[1], newest, 1.0, proof=less if newest is Status.PROVED else None)
    names = ("old", "new")
    for name, outcome in zip(names, (Outcome(jobs[0], Status.PROVED, 1.0, proof=proof), late), strict=True):
        (tmp_path / name).mkdir()
        with Ledger(tmp_path / name / "ledger.sqlite") as ledger:
            ledger.add_models([model])
            ledger.record(outcome)
    for order in (names, names[::-1]):
        study = read_study(*(tmp_path / name for name in order))
        proved = [(10, Fraction(50, 64))] if newest is Status.PROVED else []
        assert [(row.version, row.bound) for row in study.results] == proved
        assert [failure["version"] for failure in study.failures] == ([] if proved else [10])


def test_a_newer_version_counts_for_its_model_task_strategy_and_semantics_alone(tmp_path: Path) -> None:
    files = [ModelFile(f"{letter}.safetensors", letter * 64, 3, 4) for letter in "ab"]
    tasks, names, semantics = (
        (None, Task.min_of_k(4)),
        ("separable-pool", "separable-union"),
        ("real", "float32"),
    )
    old = [
        Job(file, name, 1, under, task) for file, task, name, under in product(files, tasks, names, semantics)
    ]
    jobs = [attrs.evolve(old[3], version=2), *old]
    proofs = [
        Proof(f"{at:064}", str(at), None, "64", "separable", "quartic", 10, 20, 30, 40, 50, 60)
        for at in range(len(jobs))
    ]
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.add_models(files)
        for job, proof in zip(jobs, proofs, strict=True):
            ledger.record(Outcome(job, Status.PROVED, 1.0, proof=proof))
    study = read_study(tmp_path)
    assert {(row.name, row.setting.task) for row in study.models} == {
        (letter, task) for letter in "ab" for task in ("max-of-k", "min-of-k")
    }
    found = {
        (*row.model.subject, row.strategy, row.version, row.semantics): row.certificate
        for row in study.results
    }
    assert len(study.results) == len(found) == len(old) == 16
    assert found == {
        job.key: proof.certificate for job, proof in zip(jobs, proofs, strict=True) if job is not old[3]
    }


def test_versions_are_never_averaged(study: Study) -> None:
    """Where some models were swept with an older version only, each version has its own line."""
    old, *_ = study.results
    new = attrs.evolve(old, version=old.version + 1, bound=Fraction(1, 3))
    table = strategy_table(Study((old.model,), (new, old), ()))
    shown = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [(row["version"], row["models"]) for row in shown] == [(old.version, 1), (new.version, 1)]


@pytest.mark.parametrize("verdict", ["refuted", "refused", "undecided"])
def test_what_was_audited_is_said_and_a_refused_certificate_raises_the_alarm(
    verdict: str, tmp_path: Path
) -> None:
    study = made_up_study(1, (Setting(4, 64),))
    fine = Audited("a" * 64, "k" * 64, "verified", "", 1.0)
    text = write_report(make_report(attrs.evolve(study, audits=(fine,))), tmp_path).read_text()
    assert "1 were audited, 1 of them verified." in text
    assert 'class="alarm"' not in text
    false = Audited("b" * 64, "k" * 64, verdict, "claim: one too many", 1.0)
    text = write_report(make_report(attrs.evolve(study, audits=(fine, false))), tmp_path).read_text()
    assert (
        f"1 certificates were audited and not verified, the first {'b' * 64}: {verdict} (claim: one too many)"
        in text
    )


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

PROBE = """
<script>
const report = [];
const table = document.querySelector("#classes ~ .scroll table");
const column = [...table.tHead.rows[0].cells].findIndex(c => c.textContent === "bound");
const button = table.tHead.rows[0].cells[column].querySelector("button");
const values = () => [...table.tBodies[0].rows].map(r => Number(r.cells[column].dataset.value));
const sorted = v => v.every((x, i) => i === 0 || v[i - 1] <= x);
button.click(); report.push("up " + sorted(values()));
button.click(); report.push("down " + sorted(values().reverse()));
const cut = [...document.querySelectorAll(".scroll")].filter(s => s.scrollWidth > s.clientWidth);
report.push("cut " + cut.length);
const figure = document.querySelector("figure button");
figure.click(); report.push("open " + document.getElementById("enlarged").open);
Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth > 0))).then(all => {
  report.push("images " + all.every(Boolean) + " " + all.length);
  document.title = report.join(", ");
});
</script></body>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_the_page_works_in_a_browser(report: Report, tmp_path: Path) -> None:
    page = write_report(report, tmp_path)
    page.write_text(page.read_text().replace("</body>", PROBE))
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=10000", "--dump-dom"]
    command += ["--window-size=1280,900"]  # a small screen: no table is cut, not even with an arrow in a head
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None, done.stderr
    assert title[1] == "up true, down true, cut 0, open true, images true 10"
    assert "CONSOLE" not in done.stderr
