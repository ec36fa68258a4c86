"""What decides that a job runs again: every module of the package, and the jobs whose code hash counts it."""

import shutil

import pytest
from conftest import REPO

from compute_aligned.provenance import hashing
from compute_aligned.provenance.hashing import code_hash

SCRIPTS = REPO / "workflow" / "scripts"
BESIDES = ("compute_aligned", "tasks")  # whose own code is no secret: a logger's level, names
# Job -> its script and what the rules name as imported but not run (rules/*.smk: code_of).
UNCOUNTED = ("check_results", "audit_results")  # they make nothing
JOBS = {script.stem: (script, ()) for script in SCRIPTS.glob("*.py") if script.stem not in UNCOUNTED}
JOBS["make_base_model"] = (SCRIPTS / "make_base_model.py", ("training.success_rates",))
JOBS["sample"] = (SCRIPTS / "sample.py", ("sampling.vllm_backend",))
JOBS["train_sft"] = (SCRIPTS / "train_sft.py", ("training.success_rates",))
JOBS["train_marginal"] = (SCRIPTS / "train_sft.py", ())  # an objective that samples success rates

DRAW = {job for job in JOBS if job.startswith("draw_")}
SFT = {"train_sft", "train_marginal"}
TRAIN = SFT | {"train_grpo"}
TABLES = {"make_table", "make_weight_table", "make_alignment_table"}
COUNTED_BY = {
    "operators": TRAIN | {"compute_closed_forms"},
    "objectives": TRAIN | {"compute_closed_forms"},
    "advantages": {"train_grpo", "compute_closed_forms"},
    "metrics": {"measure"},
    "statistics": {"measure", "judge_claims"},
    "units": {"measure", "judge_claims", "draw_figure", "draw_pass_rates", "draw_alignment", "make_report"} | TABLES,
    "grading": {"grade", "train_grpo", "train_marginal"},
    "notation": {"grade", "train_grpo", "train_marginal"},
    "tasks.problems": TRAIN | {"make_problems", "make_base_model", "sample", "score_proteins", "draw_proteins"},
    "tasks.loading": {"make_problems"},
    "tasks.local_files": {"make_problems"},
    "tasks.math": {"make_problems"},
    "tasks.arithmetic": {"make_problems", "make_base_model"},
    "tasks.arithmetic_corpus": {"make_base_model"},
    "tasks.protein": {"make_problems", "make_base_model", "train_grpo", "score_proteins", "draw_proteins"},
    "tasks.protein_corpus": {"make_base_model"},
    "tasks.rewards": {"train_grpo"},
    "models.making": {"make_base_model"},
    "models.pretraining": {"make_base_model"},
    "models.hub": {"make_problems", "make_base_model"},
    "models.loading": TRAIN | {"make_base_model", "sample"},
    "models.tokenization": TRAIN | {"make_base_model", "sample"},
    "sampling.pools": {"sample", "train_grpo", "train_marginal"},
    "sampling.transformers_backend": {"sample", "train_grpo", "train_marginal"},
    "sampling.evaluation": {"sample"},
    "training.loop": TRAIN,
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
    "analysis.scaling_factors": {"compute_closed_forms"},
    "analysis.closed_forms": {"compute_closed_forms"},
    "analysis.diagonal_diagnostic": {"measure_diagonal"},
    "analysis.evidence": {"judge_claims"},
    "analysis.gains": {"draw_figure", "draw_alignment", "make_alignment_table"},
    "analysis.diagonal": {"measure_diagonal"},
    "analysis.preconditions": {"judge_claims"},
    "analysis.claims": {"judge_claims"},
    "presentation.wording": {"draw_figure", "draw_pass_rates", "draw_alignment", "make_report"} | TABLES,
    "presentation.tables": TABLES | {"make_report"},
    "presentation.report": {"make_report"},
    "presentation.page": {"make_report"},
    "presentation.figures.style": DRAW,
    "presentation.figures.registry": {"draw_figure"},
    "presentation.figures.curves": {"draw_figure", "draw_pass_rates"},
    "presentation.figures.matrix": {"draw_figure", "draw_alignment"},
    "presentation.figures.weights": {"draw_weights"},
    "presentation.figures.diagonal": {"draw_diagonal"},
    "presentation.figures.proteins": {"draw_proteins"},
    "presentation.figures.training": {"draw_training"},
    "provenance.crate": {"make_crate"},
    "provenance.bundle": {"make_crate"},
}
# Bookkeeping but what writes an output, the configuration (whose outcome counts, as each job's settings) and commands:
# no job counts them.
COUNTED_BY_NONE = ["provenance.", "config.", "planning.", "__main__", "sampling.vllm_backend"]
COUNTED_BY_NONE += ["presentation.claims_table", "presentation.compare", "presentation.summary"]
COUNTED_BY_NONE += ["presentation.trace"]


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
