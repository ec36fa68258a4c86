"""Evaluation pools of the runs, and, as objective `start`, of what they start from."""


rule sample:
    input:
        base=base_model,
        models=sampled_models,
        problems=lambda wildcards: f"{RESULTS}/data/{task_of(wildcards)}/{PRESET['split']}.parquet",
    output:
        of_seeds(f"{RESULTS}/samples/{{recipe}}/{{objective}}/seed{{seed}}.parquet"),
    log:
        f"{RESULTS}/logs/sample/{{recipe}}/{{objective}}/{SEED}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sample/{{recipe}}/{{objective}}/{SEED}.tsv"
    priority: 30
    conda:
        {"transformers": "../../envs/compute_aligned.yaml", "vllm": "../../envs/vllm.yaml"}[PRESET["sampling_backend"]]
    threads: PRESET["resources"]["sample"]["threads"]
    resources:
        mem_mb=PRESET["resources"]["sample"]["mem_mb"],
        runtime=PRESET["resources"]["sample"]["runtime"],
        gpu=PRESET["resources"]["sample"]["gpu"],
    params:
        settings=lambda wildcards: [sampling_settings(SETTINGS, wildcards.recipe, seed) for seed in seeds_of(wildcards)],
        runs=names_of_runs,
        checkpoints=f"{RESULTS}/checkpoints",
        # The other backend's code counts for nothing.
        code=code_of(
            "sample.py",
            unused=[
                {"transformers": "sampling.vllm_backend", "vllm": "sampling.transformers_backend"}[
                    PRESET["sampling_backend"]
                ]
            ],
        ),
    message:
        f"Sampling {{wildcards.recipe}}, {{wildcards.objective}}, {SEED_MESSAGE}"
    script:
        "../scripts/sample.py"
