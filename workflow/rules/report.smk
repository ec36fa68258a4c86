"""Tables and figures: drawn from an experiment's metrics alone, so that a redraw takes seconds. Claims: judged by them."""


localrules:
    table,
    figure,
    alignment_table,
    alignment_figure,
    pass_rate_figure,
    protein_figure,
    weight_table,
    weight_figure,
    diagonal_figure,
    claims,


rule table:
    input:
        summaries=metrics_of_table("summary.csv"),
        weights=metrics_of_table("weights.csv"),
    output:
        csv=f"{RESULTS}/tables/{{item}}.csv",
        markdown=f"{RESULTS}/tables/{{item}}.md",
        latex=f"{RESULTS}/tables/{{item}}.tex",
    log:
        f"{RESULTS}/logs/table/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table/{{item}}.tsv"
    wildcard_constraints:
        item=tables_of({name: entry for name, entry in COMPARISONS.items() if name not in ALIGNED}),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        titles=lambda wildcards: [EXPERIMENTS[name]["title"] for name in EXPERIMENTS_OF[wildcards.item]],
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("make_table.py"),
    message:
        "Table {wildcards.item}"
    script:
        "../scripts/make_table.py"


rule figure:
    input:
        summary=metrics_of_item("summary.csv"),
    output:
        pdf=f"{RESULTS}/figures/{{item}}.pdf",
        png=f"{RESULTS}/figures/{{item}}.png",
    log:
        f"{RESULTS}/logs/figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure/{{item}}.tsv"
    wildcard_constraints:
        item=figures_of(COMPARISONS, ["difference", "values", "matrix"]),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        kind=lambda wildcards: entry_of(wildcards)["figures"][wildcards.item],
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("draw_figure.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_figure.py"


rule alignment_table:
    input:
        summary=metrics_of_item("summary.csv"),
        alignment=alignment_of_item,
    output:
        csv=f"{RESULTS}/tables/{{item}}.csv",
        markdown=f"{RESULTS}/tables/{{item}}.md",
        latex=f"{RESULTS}/tables/{{item}}.tex",
    log:
        f"{RESULTS}/logs/alignment_table/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/alignment_table/{{item}}.tsv"
    wildcard_constraints:
        item=tables_of(ALIGNED),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        title=lambda wildcards: entry_of(wildcards)["title"],
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("make_alignment_table.py"),
    message:
        "Table {wildcards.item}"
    script:
        "../scripts/make_alignment_table.py"


rule alignment_figure:
    input:
        summary=metrics_of_item("summary.csv"),
        alignment=alignment_of_item,
    output:
        pdf=f"{RESULTS}/figures/{{item}}.pdf",
        png=f"{RESULTS}/figures/{{item}}.png",
    log:
        f"{RESULTS}/logs/alignment_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/alignment_figure/{{item}}.tsv"
    wildcard_constraints:
        item=figures_of(COMPARISONS, ["alignment"]),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("draw_alignment.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_alignment.py"


rule pass_rate_figure:
    input:
        pass_rates=metrics_of_item("pass_rates.csv"),
    output:
        pdf=f"{RESULTS}/figures/{{item}}.pdf",
        png=f"{RESULTS}/figures/{{item}}.png",
    log:
        f"{RESULTS}/logs/pass_rate_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pass_rate_figure/{{item}}.tsv"
    wildcard_constraints:
        item=figures_of(COMPARISONS, ["pass_rates"]),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("draw_pass_rates.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_pass_rates.py"


rule protein_figure:
    input:
        scores=scores_of_figure,
    output:
        pdf=f"{RESULTS}/figures/{{item}}.pdf",
        png=f"{RESULTS}/figures/{{item}}.png",
    log:
        f"{RESULTS}/logs/protein_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/protein_figure/{{item}}.tsv"
    wildcard_constraints:
        item=figures_of(COMPARISONS, ["hydrophobicity", "inversion"]),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        runs=labels_of_figure,
        kind=lambda wildcards: entry_of(wildcards)["figures"][wildcards.item],
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("draw_proteins.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_proteins.py"


rule weight_table:
    input:
        curves=metrics_of_item("curves.parquet"),
        alignment=metrics_of_item("alignment.csv"),
        variance=metrics_of_item("variance.csv"),
        normalisation=metrics_of_item("normalisation.csv"),
        within_prompt=metrics_of_item("within_prompt.csv"),
    output:
        csv=f"{RESULTS}/tables/{{item}}.csv",
        markdown=f"{RESULTS}/tables/{{item}}.md",
        latex=f"{RESULTS}/tables/{{item}}.tex",
    log:
        f"{RESULTS}/logs/weight_table/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/weight_table/{{item}}.tsv"
    wildcard_constraints:
        item=tables_of(CLOSED_FORMS),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        title=lambda wildcards: entry_of(wildcards)["title"],
        values=lambda wildcards: entry_of(wildcards)["values"],
        code=code_of("make_weight_table.py"),
    message:
        "Table {wildcards.item}"
    script:
        "../scripts/make_weight_table.py"


rule weight_figure:
    input:
        curves=metrics_of_item("curves.parquet"),
        alignment=metrics_of_item("alignment.csv"),
    output:
        pdf=f"{RESULTS}/figures/{{item}}.pdf",
        png=f"{RESULTS}/figures/{{item}}.png",
    log:
        f"{RESULTS}/logs/weight_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/weight_figure/{{item}}.tsv"
    wildcard_constraints:
        item=figures_of(CLOSED_FORMS),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        figure=lambda wildcards: entry_of(wildcards)["figures"][wildcards.item],
        code=code_of("draw_weights.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_weights.py"


rule diagonal_figure:
    input:
        ratios=metrics_of_item("ratios.parquet"),
        rho=metrics_of_item("rho.csv"),
    output:
        pdf=f"{RESULTS}/figures/{{item}}.pdf",
        png=f"{RESULTS}/figures/{{item}}.png",
    log:
        f"{RESULTS}/logs/diagonal_figure/{{item}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/diagonal_figure/{{item}}.tsv"
    wildcard_constraints:
        item=figures_of(DIAGONALS),
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        figure=lambda wildcards: wildcards.item,
        title=lambda wildcards: entry_of(wildcards)["figures"][wildcards.item]["title"],
        preset=PRESET["preset"],
        split=PRESET["split"],
        code=code_of("draw_diagonal.py"),
    message:
        "Figure {wildcards.item}"
    script:
        "../scripts/draw_diagonal.py"


rule claims:
    input:
        flattened(DECISIVE_FILES),
    output:
        f"{RESULTS}/claims.csv",
    log:
        f"{RESULTS}/logs/claims.log",
    benchmark:
        f"{RESULTS}/benchmarks/claims.tsv"
    conda:
        "../../envs/compute_aligned.yaml"
    threads: 1
    params:
        claims=SETTINGS["claims"],
        files=DECISIVE_FILES,
        preset=PRESET["preset"],
        code=code_of("judge_claims.py"),
    message:
        "Claims of the paper, judged"
    script:
        "../scripts/judge_claims.py"
