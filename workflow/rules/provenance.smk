"""Before a run: what it will cost, whether it will work, and pinning what it is made from. After it: verifying,
describing and packing it."""


localrules:
    audit,
    bundle,
    check,
    crate,
    pin,
    plan,
    prefetch,
    redraw,


rule audit:
    log:
        f"{RESULTS}/logs/audit.log",
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        results=RESULTS,
        now=lambda wildcards: jobs_now(workflow, RESULTS, PRESET["seeds"]),
        wanted=PLAN.everything(),
    message:
        "Verifying everything in {RESULTS}: what it is, what it was made from, and what would be made now"
    script:
        "../scripts/audit_results.py"


rule check:
    input:
        PLAN.everything(),
        PLAN.page_metrics(),
    log:
        f"{RESULTS}/logs/check.log",
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        expected=PLAN.expected(),
    message:
        "Checking every artifact of {RESULTS}"
    script:
        "../scripts/check_results.py"


rule crate:
    input:
        shown=PLAN.everything(),
        report=LAYOUT.report,
        workflow=os.path.relpath(f"{workflow.basedir}/Snakefile"),
        citation=os.path.relpath(f"{workflow.basedir}/CITATION.cff"),
    output:
        crate=f"{RESULTS}/ro-crate-metadata.json",
        workflow=f"{RESULTS}/Snakefile",
    log:
        f"{RESULTS}/logs/crate.log",
    benchmark:
        f"{RESULTS}/benchmarks/crate.tsv"
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        code=code_of("make_crate.py"),
        licences=PRESET.get("licences", {}),
    message:
        "Describing {RESULTS} as a Provenance Run Crate"
    script:
        "../scripts/make_crate.py"


rule bundle:
    input:
        shown=PLAN.everything(),
        report=LAYOUT.report,
        crate=rules.crate.output,
    output:
        f"{RESULTS}-bundle.zip",
    log:
        f"{RESULTS}/logs/bundle.log",
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        python=sys.executable,
        results=lambda wildcards, input: str(Path(input.report).parent),
        samples="--samples" if BUNDLE_SAMPLES else "",
    message:
        "Packing {RESULTS} for another machine"
    shell:
        "{params.python:q} -m compute_aligned bundle {params.results:q} {params.samples} 2>&1 | tee {log}"


# All that is drawn from metrics, without the page: what can be made again from a bundle.
rule redraw:
    input:
        PLAN.everything(),
    message:
        "Everything in {RESULTS} is drawn again"


rule pin:
    log:
        f"{RESULTS}/logs/pin.log",
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        python=sys.executable,
        presets=[os.path.relpath(file) for file in workflow.configfiles],
    message:
        "Writing the commits of the hub repositories into {params.presets}"
    shell:
        "{params.python:q} -m compute_aligned pin {params.presets:q} 2>&1 | tee {log}"


rule plan:
    log:
        f"{RESULTS}/logs/plan.log",
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        python=sys.executable,
        presets=[os.path.relpath(file) for file in workflow.configfiles],
        values=values_of(workflow.config_settings.config),
        table=f"{RESULTS}/plan.csv",
    message:
        "What preset {PRESET[preset]} will cost, also in {params.table}"
    shell:
        "{params.python:q} -m compute_aligned plan {params.presets:q} --config {params.values:q} --csv {params.table:q}"
        " 2>&1 | tee {log}"


# All that a run takes from the hub; the rest of it works where there is none.
rule prefetch:
    input:
        [LAYOUT.base_model(model) for model in PLAN.models],
        [LAYOUT.data(task, "train") for task in PLAN.tasks],
    message:
        "Base models and problems of preset {PRESET[preset]} are in {RESULTS}: the hub is not needed any more"


# Made again only when it is deleted: what it says is true of a card, not of the code.
rule preflight:
    input:
        ancient([LAYOUT.base_model(model) for model in PLAN.models]),
    output:
        f"{RESULTS}/preflight.csv",
    log:
        f"{RESULTS}/logs/preflight.log",
    benchmark:
        f"{RESULTS}/benchmarks/preflight.tsv"
    conda:
        "../../envs/compute_aligned.yaml"
    threads: RESOURCES["train"]["threads"]
    resources:
        mem_mb=RESOURCES["train"]["mem_mb"],
        runtime=60,
        gpu=RESOURCES["train"]["gpu"],
    params:
        python=sys.executable,
        presets=[os.path.relpath(file) for file in workflow.configfiles],
        values=values_of(workflow.config_settings.config),
    message:
        "A few steps of each recipe of preset {PRESET[preset]}"
    shell:
        "{params.python:q} -m compute_aligned preflight {params.presets:q} --config {params.values:q} --csv {output:q}"
        " 2>&1 | tee {log}"
