"""Verifying what was made."""


localrules:
    audit,


rule audit:
    input:
        [file for experiment in EXPERIMENTS for file in items(experiment)],
    log:
        f"{RESULTS}/logs/audit.log",
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        results=lambda wildcards, input: Path(input[0]).parents[1],
    message:
        "Verifying every artifact of {RESULTS} against its manifest"
    shell:
        "python -m compute_aligned.audit {params.results} 2>&1 | tee {log}"
