"""Problems and base models. Both may need the hub, so they run where Snakemake does (login nodes reach it)."""


localrules:
    problems,
    base_model,


rule problems:
    input:
        lambda wildcards: PLAN.local_data_files(wildcards.task),
    output:
        train=LAYOUT.data("{task}", "train"),
        validation=LAYOUT.data("{task}", "validation"),
        test=LAYOUT.data("{task}", "test"),
    log:
        f"{RESULTS}/logs/problems/{{task}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/problems/{{task}}.tsv"
    priority: 60
    conda:
        "../../envs/compute_aligned.yaml"
    threads: RESOURCES["data"]["threads"]
    resources:
        mem_mb=RESOURCES["data"]["mem_mb"],
        runtime=RESOURCES["data"]["runtime"],
    params:
        data=lambda wildcards: PRESET["data"][wildcards.task],
        code=code_of("make_problems.py"),
    message:
        "Problems of task {wildcards.task}"
    script:
        "../scripts/make_problems.py"


rule base_model:
    input:
        lambda wildcards: PLAN.held_out_problems(wildcards.model),
    output:
        directory(LAYOUT.base_model("{model}")),
    log:
        f"{RESULTS}/logs/base_model/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/base_model/{{model}}.tsv"
    priority: 60
    conda:
        "../../envs/compute_aligned.yaml"
    threads: RESOURCES["data"]["threads"]
    resources:
        mem_mb=RESOURCES["data"]["mem_mb"],
        runtime=RESOURCES["data"]["runtime"],
    params:
        source=lambda wildcards: PRESET["models"][wildcards.model]["source"],
        # How often the base model is right is for the manifest alone.
        code=code_of("make_base_model.py", unused=["training.success_rates"]),
    message:
        "Base model {wildcards.model}"
    script:
        "../scripts/make_base_model.py"
