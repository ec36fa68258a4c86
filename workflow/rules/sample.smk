"""Evaluation pools: one job per run."""


rule sample:
    input:
        base=base_model,
        model=f"{RESULTS}/models/{{recipe}}/{{objective}}/seed{{seed}}",
        problems=lambda wildcards: f"{RESULTS}/data/{task_of(wildcards)}/{PRESET['split']}.parquet",
    output:
        f"{RESULTS}/samples/{{recipe}}/{{objective}}/seed{{seed}}.parquet",
    log:
        f"{RESULTS}/logs/sample/{{recipe}}/{{objective}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sample/{{recipe}}/{{objective}}/seed{{seed}}.tsv"
    conda:
        "../../envs/compute_aligned.yaml"
    threads: PRESET["resources"]["sample"]["threads"]
    resources:
        mem_mb=PRESET["resources"]["sample"]["mem_mb"],
        runtime=PRESET["resources"]["sample"]["runtime"],
        gpu=PRESET["resources"]["sample"]["gpu"],
    params:
        settings=lambda wildcards: sampling_settings(SETTINGS, wildcards.recipe, int(wildcards.seed)),
        checkpoints=f"{RESULTS}/checkpoints",
        code=code_of("sample.py"),
    message:
        "Sampling {wildcards.recipe}, {wildcards.objective}, seed {wildcards.seed}"
    script:
        "../scripts/sample.py"
