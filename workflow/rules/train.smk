"""Training: the objective `warmup` starts from the base model, the others from a warm-up of their seed, if any."""


rule train_sft:
    input:
        base=base_model,
        starts=starts_of,
        problems=lambda wildcards: f"{RESULTS}/data/{task_of(wildcards)}/train.parquet",
    output:
        models=directory(of_seeds(f"{RESULTS}/models/{{recipe}}/{{objective}}/seed{{seed}}")),
        records=of_seeds(f"{RESULTS}/training/{{recipe}}/{{objective}}/seed{{seed}}.parquet"),
    log:
        f"{RESULTS}/logs/train_sft/{{recipe}}/{{objective}}/{SEED}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_sft/{{recipe}}/{{objective}}/{SEED}.tsv"
    wildcard_constraints:
        objective=objectives_trained_by("sft"),
    priority: 40
    conda:
        "../../envs/compute_aligned.yaml"
    threads: PRESET["resources"]["train"]["threads"]
    resources:
        mem_mb=PRESET["resources"]["train"]["mem_mb"],
        runtime=PRESET["resources"]["train"]["runtime"],
        gpu=PRESET["resources"]["train"]["gpu"],
    params:
        settings=lambda wildcards: [
            training_settings(SETTINGS, wildcards.recipe, wildcards.objective, seed) for seed in seeds_of(wildcards)
        ],
        runs=names_of_runs,
        checkpoints=f"{RESULTS}/checkpoints",
        code=code_of_training,
    message:
        f"Training {{wildcards.recipe}} on {{wildcards.objective}}, {SEED_MESSAGE}"
    script:
        "../scripts/train_sft.py"


rule train_grpo:
    input:
        base=base_model,
        starts=starts_of,
        problems=lambda wildcards: f"{RESULTS}/data/{task_of(wildcards)}/train.parquet",
    output:
        models=directory(of_seeds(f"{RESULTS}/models/{{recipe}}/{{objective}}/seed{{seed}}")),
        records=of_seeds(f"{RESULTS}/training/{{recipe}}/{{objective}}/seed{{seed}}.parquet"),
    log:
        f"{RESULTS}/logs/train_grpo/{{recipe}}/{{objective}}/{SEED}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_grpo/{{recipe}}/{{objective}}/{SEED}.tsv"
    wildcard_constraints:
        objective=objectives_trained_by("grpo"),
    priority: 50
    conda:
        "../../envs/compute_aligned.yaml"
    threads: PRESET["resources"]["train"]["threads"]
    resources:
        mem_mb=PRESET["resources"]["train"]["mem_mb"],
        runtime=PRESET["resources"]["train"]["runtime"],
        gpu=PRESET["resources"]["train"]["gpu"],
    params:
        settings=lambda wildcards: [
            rl_settings(SETTINGS, wildcards.recipe, wildcards.objective, seed) for seed in seeds_of(wildcards)
        ],
        runs=names_of_runs,
        checkpoints=f"{RESULTS}/checkpoints",
        code=code_of("train_grpo.py"),
    message:
        f"Training {{wildcards.recipe}} on {{wildcards.objective}}, {SEED_MESSAGE}"
    script:
        "../scripts/train_grpo.py"
