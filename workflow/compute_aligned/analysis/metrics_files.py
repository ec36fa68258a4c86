"""The files that measuring an experiment leaves under metrics/, and what decides its claims among them."""

# Kind of experiment -> its files: name as a result that decides claims (None: none), ending, kind of artifact.
METRICS_FILES = {
    "comparison": [
        (None, "csv", "metrics"),
        ("problems", "problems.parquet", "problem_metrics"),
        ("start", "start.parquet", "problem_metrics"),
        ("summary", "summary.csv", "summary"),
        ("weights", "weights.csv", "weights"),
    ],
    "closed_form": [
        (None, "curves.parquet", "curves"),
        *((name, f"{name}.csv", name) for name in ("alignment", "variance", "normalisation", "within_prompt")),
    ],
    "diagonal": [
        ("ratios", "ratios.parquet", "diagonal_ratios"),
        ("rho", "rho.csv", "diagonal_rho"),
        ("theorem3", "theorem3.csv", "theorem3"),
    ],
}
