"""TRL's trainers with the paper's objectives, their checkpoints and records."""
