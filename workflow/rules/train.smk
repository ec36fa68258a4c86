"""Training: one job per run. The objective `warmup` starts from the base model, all others from the warm-up."""


rule train_sft:
    input:
        base=base_model,
        start=start_of,
        problems=lambda wildcards: f"{RESULTS}/data/{task_of(wildcards)}/train.parquet",
    output:
        model=directory(f"{RESULTS}/models/{{recipe}}/{{objective}}/seed{{seed}}"),
        record=f"{RESULTS}/training/{{recipe}}/{{objective}}/seed{{seed}}.parquet",
    log:
        f"{RESULTS}/logs/train_sft/{{recipe}}/{{objective}}/seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_sft/{{recipe}}/{{objective}}/seed{{seed}}.tsv"
    conda:
        "../../envs/compute_aligned.yaml"
    threads: PRESET["resources"]["train"]["threads"]
    resources:
        mem_mb=PRESET["resources"]["train"]["mem_mb"],
        runtime=PRESET["resources"]["train"]["runtime"],
        gpu=PRESET["resources"]["train"]["gpu"],
    params:
        settings=lambda wildcards: training_settings(
            SETTINGS, wildcards.recipe, wildcards.objective, int(wildcards.seed)
        ),
        checkpoints=f"{RESULTS}/checkpoints",
        code=code_of("train_sft.py"),
    message:
        "Training {wildcards.recipe} on {wildcards.objective}, seed {wildcards.seed}"
    script:
        "../scripts/train_sft.py"
