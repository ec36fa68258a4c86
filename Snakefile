"""Compute Aligned Training, reproduced. `snakemake --cores 2` runs the tiny preset; see README.md."""

import os
import signal
import sys

from snakemake.utils import min_version

min_version("9.0")

# Of this file; workflow.basedir would be another repository's where that uses this one as a module.
REPOSITORY = Path(str(workflow.current_basedir))
PACKAGE_ROOT = str(REPOSITORY / "workflow")
# This checkout's package, in this process and in every job (of a conda environment, too), wherever another is installed.
sys.path.insert(0, PACKAGE_ROOT)
os.environ.update(PYTHONPATH=PACKAGE_ROOT)
# glibc gives the memory of large tensors back and asks for it anew at every step; kept, jobs on a CPU take up to a
# tenth less time. Other allocators do not read these names.
for name, value in {"MMAP_MAX": 0, "TRIM_THRESHOLD": 2**30, "TOP_PAD": 2**26}.items():
    os.environ.setdefault(f"MALLOC_{name}_", str(value))
# bitsandbytes, which every trainer imports, would load torch's compiler: a second per job. Nothing here is compiled but
# what vLLM runs.
if config.get("sampling_backend") != "vllm":
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")

from compute_aligned.config.files import ConfigError, read_yaml
from compute_aligned.config.loading import load_settings
from compute_aligned.config.local_models import check_local_models
from compute_aligned.config.problems import check_problems
from compute_aligned.planning.layout import Layout
from compute_aligned.planning.plan import Plan
from compute_aligned.provenance.job import LATENCY_WAIT

if workflow.is_main_process:
    from compute_aligned.planning.slurm import SlurmExecutor
    from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

    ExecutorPluginRegistry().get_plugin("slurm").executor = SlurmExecutor

# Only without --configfile: Snakemake would lay a preset over tiny and fill its gaps with tiny's values.
if not workflow.overwrite_configfiles:

    configfile: os.path.relpath(REPOSITORY / "config" / "tiny.yaml")


# What `--config` may say besides a preset's values: whether `bundle` packs all samples, too.
BUNDLE_SAMPLES = config.pop("bundle_samples", False)

try:
    for file in workflow.configfiles:
        read_yaml(file)  # Snakemake keeps the last of two equal keys in silence
    PRESET_FILE = " + ".join(str(file) for file in workflow.configfiles)
    SETTINGS = load_settings(config, PRESET_FILE, REPOSITORY / "config")
    LAYOUT = Layout(f"results/{SETTINGS['preset']['preset']}")
    PLAN = Plan(SETTINGS, LAYOUT)
    if workflow.is_main_process:
        check_problems(SETTINGS, PRESET_FILE)
        not_made = [model for model in PLAN.models if not os.path.exists(LAYOUT.base_model(model))]
        check_local_models(SETTINGS, PRESET_FILE, not_made)
except ConfigError as error:
    # One sentence per mistake; Snakemake would print a traceback.
    print(error, file=sys.stderr)
    sys.exit(1)

PRESET, EXPERIMENTS, RESULTS = PLAN.preset, PLAN.experiments, LAYOUT.root


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"


wildcard_constraints:
    task=one_of(PRESET["data"]),
    model=one_of(PRESET["models"]),
    recipe=one_of(PLAN.objectives),
    objective=one_of(sorted({START, *(name for names in PLAN.objectives.values() for name in names)})),
    seed=one_of(PRESET["seeds"]),
    experiment=one_of(EXPERIMENTS),


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/provenance.smk"


# Snakemake keeps the last one alone.
onstart:
    stop_unless_writable(RESULTS)
    if PRESET["seeds_in_one_job"]:
        keep_what_is_there(workflow, RESULTS)
    tell_progress(workflow, REPOSITORY / "results" / "reference" / PRESET["preset"])
    # Here, since the setting is not known before; every job inherits it, one of Slurm, too.
    os.environ[LATENCY_WAIT] = str(workflow.execution_settings.latency_wait)
    # Snakemake 9.27 leaves, after each look at its jobs, a timer that has it look again, to start no more than 100 jobs per
    # second. Every job adds such a chain; after a hundred jobs one core did nothing else. Local jobs need no limit.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None
    # Snakemake would wait for the jobs in Slurm, days perhaps, and can stand still for good if it is told while it waits
    # for a file. As Ctrl-C: jobs are cancelled, and go on from their checkpoints the next time.
    else:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


rule all:
    default_target: True
    input:
        PLAN.everything(),
        LAYOUT.report,
    message:
        "Everything of preset {PRESET[preset]} is under {RESULTS}"


# `snakemake math_sft_pass`, `snakemake table2`, `snakemake fig1`
for name in EXPERIMENTS:

    rule:
        name:
            name
        input:
            PLAN.items(name),


for item in PLAN.experiments_of:

    rule:
        name:
            item
        input:
            PLAN.item_files(item),
