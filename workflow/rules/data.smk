"""Problems and base models. Both may need the hub, so they run where Snakemake does (login nodes reach it)."""


localrules:
    problems,
    base_model,


rule problems:
    input:
        data_files,
    output:
        train=f"{RESULTS}/data/{{task}}/train.parquet",
        validation=f"{RESULTS}/data/{{task}}/validation.parquet",
        test=f"{RESULTS}/data/{{task}}/test.parquet",
    log:
        f"{RESULTS}/logs/problems/{{task}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/problems/{{task}}.tsv"
    priority: 60
    conda:
        "../../envs/compute_aligned.yaml"
    threads: PRESET["resources"]["data"]["threads"]
    resources:
        mem_mb=PRESET["resources"]["data"]["mem_mb"],
        runtime=PRESET["resources"]["data"]["runtime"],
    params:
        data=lambda wildcards: PRESET["data"][wildcards.task],
        code=code_of("make_problems.py"),
    message:
        "Problems of task {wildcards.task}"
    script:
        "../scripts/make_problems.py"


rule base_model:
    input:
        held_out_problems,
    output:
        directory(f"{RESULTS}/models/base/{{model}}"),
    log:
        f"{RESULTS}/logs/base_model/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/base_model/{{model}}.tsv"
    priority: 60
    conda:
        "../../envs/compute_aligned.yaml"
    threads: PRESET["resources"]["data"]["threads"]
    resources:
        mem_mb=PRESET["resources"]["data"]["mem_mb"],
        runtime=PRESET["resources"]["data"]["runtime"],
    params:
        source=lambda wildcards: PRESET["models"][wildcards.model]["source"],
        # How often the base model is right is for the manifest alone.
        code=code_of("make_base_model.py", unused=["training.success_rates"]),
    message:
        "Base model {wildcards.model}"
    script:
        "../scripts/make_base_model.py"
