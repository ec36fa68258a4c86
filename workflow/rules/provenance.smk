"""Before a run: what it will cost, whether it will work, and pinning what it is made from. After it: verifying it."""


localrules:
    audit,
    check,
    pin,
    plan,


rule audit:
    input:
        PLAN.everything(),
        LAYOUT.report,
    log:
        f"{RESULTS}/logs/audit.log",
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        python=sys.executable,
        results=lambda wildcards, input: str(Path(input[0]).parents[1]),
    message:
        "Verifying every artifact of {RESULTS} against its manifest, and what each was made from"
    shell:
        "{params.python:q} -m compute_aligned audit {params.results:q} 2>&1 | tee {log}"


rule check:
    input:
        PLAN.everything(),
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
