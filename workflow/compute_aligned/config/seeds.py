"""Seeds: every random stream of a run derives from (recipe, stream, seed) and never from the objective.

Objectives of one seed therefore share warm-up, data order and the random numbers of sampling, so their
differences are paired.
"""

import hashlib


def derive_seed(recipe: str, stream: str, seed: int) -> int:
    """A 31-bit seed of one named stream (``warmup``, ``train``, ``sample``) of a recipe's seed."""
    digest = hashlib.sha256(f"{recipe}|{stream}|{seed}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
