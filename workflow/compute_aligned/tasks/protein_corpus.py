"""A corpus of generated protein sequences, to pre-train a small model that stands in for ProtGPT2.

Only what decides the protein tasks' rewards is looked after: which residues occur, how the share of hydrophobic ones
(AILMFWYV) varies between proteins, and that some proteins have long hydrophobic stretches. There is no other order in
the sequences: within a stretch residues are independent.

How much proteins vary is a setting, the standard deviation of the hydrophobic fraction between them:

- 0.045 is that of natural proteins, measured as said below. A small model pre-trained on such a corpus
  has practically no sample at the jackpot of the unconditional task.
- 0.17 gives a model whose samples at the task's temperature vary as those of the paper's *baseline* do,
  the 512 sequences that its authors saved of plain GRPO after training: h with mean 0.393, standard deviation 0.150,
  6.1 % in 0.65-0.85 and 24 % in 0.45-0.60. What the paper's model gave before its training nobody saved. It was
  matched to these baseline samples alone, never to what Best-of-N makes of it.

Sources:
- composition: UniProtKB/Swiss-Prot release statistics, amino acid composition in percent;
- share of membrane proteins: 20 to 30 % of a proteome (Krogh et al. 2001, J. Mol. Biol. 305:567; Wallin and von Heijne
  1998, Protein Sci. 7:1029); the middle is taken;
- composition of their helices: Eilers et al. 2000, PNAS 97:5796, Table 3, helices of membrane proteins of known
  structure (64 % hydrophobic);
- length of a helix: 21 residues, about the mean of Arkin and Brunger 1998, Biochim. Biophys. Acta 1429:113;
- number of helices: Wallin and von Heijne report fewer proteins the more helices they have, with a preference for 6, 7
  and 12. That n of 1 to 12 helices occur in proportion to 1/n is an ASSUMPTION;
- lengths and the natural spread of the hydrophobic fraction: measured on the example database of MMseqs2 14, the 19,038
  UniProtKB sequences in it with at least 64 residues, all of the 20. Lengths: median 355, log standard deviation 0.77.
  In proteins without a 19-residue window of 15 or more hydrophobic residues, the fraction in windows of 64 has standard
  deviation 0.045 beyond that of independent draws. That the fraction is constant along a protein and beta distributed
  is an ASSUMPTION.

What comes of it, as the hydrophobic fraction in adjoining windows of 64 residues. The natural row is from the database
that gave lengths and spread; its mean and its share above 0.65 were not fitted.

|                                              | mean  | standard deviation | windows above 0.65 |
|----------------------------------------------|-------|--------------------|--------------------|
| independent draws from the composition alone | 0.410 | 0.061              | 0.006 %            |
| natural: MMseqs2's example database          | 0.398 | 0.083              | 0.32 %             |
| this corpus with the natural spread          | 0.408 | 0.081              | 0.32 %             |
| this corpus with the paper's spread          | 0.410 | 0.179              | 10.2 %             |
"""

import math

import numpy as np

from .protein import HYDROPHOBIC, POLAR, RESIDUES

# Percent of residues.
COMPOSITION = {
    **{"A": 8.25, "R": 5.53, "N": 4.06, "D": 5.46, "C": 1.38, "Q": 3.93, "E": 6.72, "G": 7.07, "H": 2.27, "I": 5.91},
    **{"L": 9.65, "K": 5.80, "M": 2.41, "F": 3.86, "P": 4.74, "S": 6.64, "T": 5.35, "W": 1.10, "Y": 2.92, "V": 6.86},
}
HELIX_COMPOSITION = {
    **{"A": 11.12, "R": 2.44, "N": 1.75, "D": 1.37, "C": 0.69, "Q": 1.14, "E": 1.52, "G": 7.35, "H": 2.63, "I": 8.30},
    **{"L": 15.80, "K": 1.94, "M": 4.34, "F": 9.25, "P": 2.51, "S": 5.26, "T": 6.93, "W": 3.24, "Y": 2.97, "V": 9.44},
}
MEMBRANE_SHARE = 0.25
HELIX_LENGTH = 21
MOST_HELICES = 12
RESIDUES_PER_HELIX = 30  # at least, loops included: a short protein has room for few helices
MEDIAN_LENGTH = 355
SD_LOG_LENGTH = 0.77
SHORTEST = 30
# Outside the helices, so that all residues together keep Swiss-Prot's 0.410.
MEAN_FRACTION = 0.399


def generate_corpus(seed: int, size: int, sd_fraction: float) -> list[str]:
    """Draw protein sequences.

    Args:
        seed: seed of the generator.
        size: number of sequences.
        sd_fraction: standard deviation of the hydrophobic fraction between proteins, outside their helices.

    Returns:
        sequences of the 20 residues, at least 30 long.
    """
    rng = np.random.default_rng(seed)
    return [_protein(rng, sd_fraction) for _ in range(size)]


def _protein(rng: np.random.Generator, sd_fraction: float) -> str:
    length = max(SHORTEST, round(rng.lognormal(math.log(MEDIAN_LENGTH), SD_LOG_LENGTH)))
    hydrophobic = rng.random(length) < rng.beta(*_beta_parameters(MEAN_FRACTION, sd_fraction))
    residues = np.where(
        hydrophobic, _draw(rng, COMPOSITION, HYDROPHOBIC, length), _draw(rng, COMPOSITION, POLAR, length)
    )
    if rng.random() < MEMBRANE_SHARE:
        counts = np.arange(1, MOST_HELICES + 1)
        n_helices = min(rng.choice(counts, p=(1 / counts) / (1 / counts).sum()), length // RESIDUES_PER_HELIX)
        # Loops of random lengths between them.
        loops = np.sort(rng.integers(0, length - HELIX_LENGTH * n_helices, size=n_helices, endpoint=True))
        for start in loops + HELIX_LENGTH * np.arange(n_helices):
            residues[start : start + HELIX_LENGTH] = _draw(rng, HELIX_COMPOSITION, RESIDUES, HELIX_LENGTH)
    return "".join(residues)


def _draw(rng: np.random.Generator, composition: dict[str, float], letters: str, size: int) -> np.ndarray:
    """Independent residues out of `letters`, in the proportions of a composition."""
    shares = np.array([composition[letter] for letter in letters])
    return rng.choice(list(letters), p=shares / shares.sum(), size=size)


def _beta_parameters(mean: float, sd: float) -> tuple[float, float]:
    precision = mean * (1 - mean) / sd**2 - 1
    return mean * precision, (1 - mean) * precision
