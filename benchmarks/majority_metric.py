"""Exact maj@k against the usual simulation: time and difference on 500 pools of 128 samples.

PYTHONPATH=workflow python benchmarks/majority_metric.py
"""

import time

import numpy as np

from compute_aligned.metrics import majority_curve

POOLS, SAMPLES, TRIALS = 500, 128, 500
KS = [1, 2, 4, 8, 16, 32, 64, 128]


def realistic_pool(rng: np.random.Generator) -> list[str | None]:
    """A few answers share most of the votes, some completions have none, a tail of answers occurs once."""
    n_common, n_rare = rng.integers(2, 12), rng.integers(0, 25)
    p_invalid, p_rare = rng.uniform(0.0, 0.2), rng.uniform(0.0, 0.3)
    common = rng.dirichlet(np.full(n_common, 0.6)) * (1 - p_invalid - p_rare)
    probabilities = [p_invalid, *common, *np.full(n_rare + 1, p_rare / (n_rare + 1))]
    drawn = rng.choice(len(probabilities), size=SAMPLES, p=np.array(probabilities) / sum(probabilities))
    return [None if index == 0 else str(index) for index in drawn]


def simulated_curve(answers: list[str | None], correct: str, rng: np.random.Generator) -> np.ndarray:
    """The paper's way: draw k, let the most frequent valid answer win, ties to the first drawn."""
    codes = {answer: code for code, answer in enumerate(dict.fromkeys(a for a in answers if a is not None))}
    pool = np.array([-1 if answer is None else codes[answer] for answer in answers])
    right = codes.get(correct, -2)
    curve = []
    for k in KS:
        wins = 0
        for _ in range(TRIALS):
            drawn = rng.permutation(pool)[:k]
            valid = drawn[drawn >= 0]
            if len(valid):
                counts = np.bincount(valid)
                wins += valid[np.argmax(counts[valid])] == right
        curve.append(wins / TRIALS)
    return np.array(curve)


def main() -> None:
    rng = np.random.default_rng(0)
    pools = [realistic_pool(rng) for _ in range(POOLS)]

    start = time.process_time()
    exact = np.array([majority_curve(pool, "1", KS) for pool in pools])
    exact_seconds = time.process_time() - start

    start = time.process_time()
    simulated = np.array([simulated_curve(pool, "1", rng) for pool in pools])
    simulated_seconds = time.process_time() - start

    difference = exact - simulated
    print(f"{POOLS} pools of {SAMPLES}, k = {KS}")
    print(f"exact       {exact_seconds:7.2f} s")
    print(f"simulation  {simulated_seconds:7.2f} s ({TRIALS} trials)")
    print(f"ratio       {simulated_seconds / exact_seconds:7.1f}")
    print(f"largest difference: one problem {np.abs(difference).max():.4f}, ", end="")
    print(f"mean over problems {np.abs(difference.mean(axis=0)).max():.5f}")


if __name__ == "__main__":
    main()
