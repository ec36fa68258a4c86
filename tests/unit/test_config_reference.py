"""The config reference cannot lie: it is generated from the models that check the configuration."""

from pathlib import Path

from compute_aligned.config.reference import reference

REPOSITORY = Path(__file__).parents[2]


def test_the_committed_reference_is_what_the_models_say():
    committed = (REPOSITORY / "docs" / "config.md").read_text()
    assert committed == reference(), "run: python -m compute_aligned config > docs/config.md"


def test_every_key_of_the_reference_says_what_it_means():
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    unexplained = [line for line in rows if line.rstrip("| ").endswith("|")]
    explained = [line for line in rows if line.split("|")[3].strip()]
    assert len(explained) > 40, unexplained
