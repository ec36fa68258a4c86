"""Verifying what was made, and pinning what it is made from."""


localrules:
    audit,
    check,
    pin,


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
