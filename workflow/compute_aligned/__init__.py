"""Compute Aligned Training: operators, objectives, trainers, exact metrics and their provenance."""

import logging

# On CPUs with bfloat16 it warns at import of an optional kernel that is not used here.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
