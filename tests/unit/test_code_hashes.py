"""What decides that a job runs again: every module of the package, and the jobs whose code hash counts it."""

import importlib
import inspect
import shutil

import pytest
from conftest import REPO

from compute_aligned.presentation.registry import FIGURES as DRAWN
from compute_aligned.presentation.registry import TABLES as WRITTEN
from compute_aligned.provenance import hashing
from compute_aligned.provenance.hashing import code_hash

SCRIPTS = REPO / "workflow" / "scripts"
BESIDES = ("compute_aligned", "tasks")  # whose own code is no secret: a logger's level, names
# Job -> its script, what the rules name as imported but not run, and what it imports by name (rules/*.smk: code_of).
UNCOUNTED = ("check_results", "audit_results")  # they make nothing
JOBS = {script.stem: (script, ()) for script in SCRIPTS.glob("*.py") if script.stem not in UNCOUNTED}
JOBS["make_base_model"] = (SCRIPTS / "make_base_model.py", ("training.success_rates",))
JOBS["sample"] = (SCRIPTS / "sample.py", ("sampling.vllm_backend",))
JOBS["train_sft"] = (SCRIPTS / "train_sft.py", ("training.success_rates",))
JOBS["train_marginal"] = (SCRIPTS / "train_sft.py", ())  # an objective that samples success rates

SCRIPTS_OF_ITEMS = {"draw_figure": DRAWN, "make_table": WRITTEN}
for script, items in SCRIPTS_OF_ITEMS.items():
    JOBS |= {f"{script} {kind}": (SCRIPTS / f"{script}.py", (), (item.module,)) for kind, item in items.items()}
    del JOBS[script]

DRAW = {job for job in JOBS if job.startswith("draw_figure ")}
TABLES = {job for job in JOBS if job.startswith("make_table ")}
CURVES = {"draw_figure difference", "draw_figure values", "draw_figure pass_rates"}
TOKENS = {"draw_figure tokens"}
MATRIX = {"draw_figure matrix", "draw_figure alignment"}
WEIGHTS = {"draw_figure weights", "draw_figure waste"}
PROTEINS = {"draw_figure hydrophobicity", "draw_figure inversion"}
OF_PROTEINS = PROTEINS | {"draw_figure training"}  # which says where the jackpots are
COMPARED = TABLES - {"make_table closed_form"}
SFT = {"train_sft", "train_marginal"}
TRAIN = SFT | {"train_grpo"}
READS_SETTINGS = TRAIN | {"make_problems", "make_base_model", "sample", "compute_closed_forms"}
READS_SETTINGS |= {"measure_diagonal", "measure", "grade_by_task"}
COUNTED_BY = {
    "operators": TRAIN | {"compute_closed_forms"},
    "objectives": TRAIN | {"compute_closed_forms"},
    "advantages": {"train_grpo", "compute_closed_forms"},
    "metrics": {"measure"},
    "statistics": {"measure", "compute_token_costs", "judge_claims"},
    "units": {"measure", "compute_token_costs", "judge_claims", "make_report"} | DRAW | COMPARED,
    "settings": READS_SETTINGS,
    "grading": {"grade", "grade_by_task", "train_grpo", "train_marginal"},
    "answer_notation": {"grade", "grade_by_task", "train_grpo", "train_marginal"},
    "tasks.problems": TRAIN
    | {"make_problems", "make_base_model", "sample", "grade_by_task", "score_proteins"}
    | OF_PROTEINS,
    "tasks.loading": {"make_problems"},
    "tasks.sources": {"make_problems"},
    "tasks.local_files": {"make_problems"},
    "tasks.table": {"make_problems"},
    "tasks.questions": TRAIN | {"make_problems", "grade_by_task"},
    "tasks.reasoning_gym": {"make_problems", "train_grpo", "train_marginal", "grade_by_task"},
    "tasks.arithmetic": {"make_problems", "make_base_model"},
    "tasks.arithmetic_corpus": {"make_base_model"},
    "tasks.protein": {"make_problems", "make_base_model", "train_grpo", "score_proteins"} | OF_PROTEINS,
    "tasks.protein_corpus": {"make_base_model"},
    "tasks.rewards": {"train_grpo"},
    "models.making": {"make_base_model"},
    "models.pretraining": {"make_base_model"},
    "models.sources": {"make_base_model"},
    "models.adapter": TRAIN | {"make_base_model", "sample"},
    "models.autocast": TRAIN,
    "models.prefix": TRAIN,
    "models.hub": {"make_problems", "make_base_model"},
    "models.loading": TRAIN | {"make_base_model", "sample"},
    "models.tokenization": TRAIN | {"make_base_model", "sample"},
    "config.settings.common": TRAIN | {"sample"},
    "config.settings.training": SFT,
    "config.settings.rl": {"train_grpo"},
    "config.settings.evaluation": {"sample"},
    "config.settings.measuring": {"measure"},
    "config.settings.closed_forms": {"compute_closed_forms"},
    "config.settings.diagonal": {"measure_diagonal"},
    "sampling.pools": {"sample", "train_grpo", "train_marginal"},
    "sampling.transformers_backend": {"sample", "train_grpo", "train_marginal"},
    "sampling.evaluation": {"sample"},
    "training.loop": TRAIN,
    "training.arguments": TRAIN,
    "training.run_files": TRAIN,
    "training.sft": SFT,
    "training.sft_run": SFT,
    "training.grpo_run": {"train_grpo"},
    "training.grpo": {"train_grpo"},
    "training.success_rates": {"train_marginal"},
    "training.checkpoints": TRAIN,
    "training.callbacks": TRAIN,
    "training.trained": TRAIN,
    "analysis.effective_share": TRAIN | {"measure", "judge_claims"},
    "analysis.measuring": {"measure"},
    "analysis.metrics_files": {"judge_claims"},
    "analysis.token_costs": {"compute_token_costs"},
    "analysis.scaling_factors": {"compute_closed_forms"},
    "analysis.closed_forms": {"compute_closed_forms"},
    "analysis.diagonal_diagnostic": {"measure_diagonal"},
    "analysis.evidence": {"judge_claims"},
    "analysis.gains": {"make_table alignment"} | MATRIX,
    "analysis.diagonal": {"measure_diagonal"},
    "analysis.preconditions": {"judge_claims"},
    "analysis.claims": {"judge_claims"},
    "presentation.wording": {"make_report"} | DRAW | COMPARED,
    "presentation.numbers": {"make_report"} | CURVES | TOKENS | MATRIX | WEIGHTS | PROTEINS | TABLES,
    "presentation.crossovers": {"make_report"} | TOKENS,
    "presentation.rows": {"make_report"} | CURVES | COMPARED,
    "presentation.making": DRAW | TABLES,
    "presentation.tables.forms": TABLES | {"make_report"},
    "presentation.tables.comparison": COMPARED | {"make_report"},
    "presentation.tables.alignment": {"make_table alignment"},
    "presentation.tables.closed_form": {"make_table closed_form"},
    "presentation.report": {"make_report"},
    "presentation.page": {"make_report"},
    "presentation.panels": {"make_report"},
    "presentation.figures.style": DRAW,
    "presentation.figures.curves": CURVES,
    "presentation.figures.tokens": TOKENS,
    "presentation.figures.matrix": MATRIX,
    "presentation.figures.weights": WEIGHTS,
    "presentation.figures.diagonal": {"draw_figure rho"},
    "presentation.figures.proteins": PROTEINS,
    "presentation.figures.training": {"draw_figure training"},
    "provenance.crate": {"make_crate"},
    "provenance.bundle": {"make_crate"},
}
# Bookkeeping but what writes an output, how the configuration is read and checked (its outcome counts, as each job's
# settings) and commands: no job counts them.
COUNTED_BY_NONE = ["provenance.", "planning.", "__main__", "sampling.vllm_backend"]
COUNTED_BY_NONE += [
    f"config.{name}"
    for name in ("checks", "files", "loading", "local_models", "pin", "problems", "reference", "resolving", "seeds")
]
COUNTED_BY_NONE += [f"config.{name}" for name in ("presets", "recipes", "experiments", "claims", "sentences")]
COUNTED_BY_NONE += ["presentation.claims_table", "presentation.compare", "presentation.terminal"]
COUNTED_BY_NONE += ["presentation.registry"]  # whose entry counts, as an item's settings
COUNTED_BY_NONE += ["presentation.trace."]


def modules():
    return [hashing._module(file) for file in sorted(hashing.PACKAGE.rglob("*.py")) if file.stem != "__init__"]


def is_counted(module):
    return module in COUNTED_BY or not any(map(module.startswith, COUNTED_BY_NONE))


def expected(module):
    return COUNTED_BY[module] if is_counted(module) else set()


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The package's sources, to be changed, in place of the real ones."""
    package = tmp_path_factory.mktemp("package") / "compute_aligned"
    shutil.copytree(hashing.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "PACKAGE", package)
        yield package, {job: code_hash(*given) for job, given in JOBS.items()}


def test_the_table_names_every_module_once():
    assert sorted(COUNTED_BY) == sorted(filter(is_counted, modules()))


@pytest.mark.parametrize("module", modules())
def test_a_line_added_to_a_module_changes_the_hashes_of_the_jobs_that_use_it(copy, module):
    package, before = copy
    file = package / f"{module.replace('.', '/')}.py"
    text = file.read_text()
    file.write_text(f"{text}\nADDED = 1\n")
    after = {job: code_hash(*given) for job, given in JOBS.items()}
    file.write_text(text)
    assert {job for job in JOBS if after[job] != before[job]} == expected(module)


def test_the_packages_above_modules_hold_nothing_that_could_change_a_hash():
    sources = [file.read_text() for file in hashing.PACKAGE.rglob("__init__.py") if file.parent.name not in BESIDES]
    assert [source for source in sources if not (source.startswith('"""') and source.rstrip().endswith('"""'))] == []


def test_every_function_of_the_registry_exists_and_takes_what_it_is_given():
    for item in (*DRAWN.values(), *WRITTEN.values()):
        module, _, name = item.function.rpartition(".")
        function = getattr(importlib.import_module(f"compute_aligned.presentation.{module}"), name)
        assert sorted(inspect.signature(function).parameters) == sorted([*item.reads, *item.told]), item.function
        assert item.module.endswith(module)
