"""What a metric's values are called, scaled by and counted in."""

METRIC_NAMES = {"pass": "Pass", "maj": "Maj", "gain": "Gain", "bon": "BoN"}
# Shares of problems are shown in percent, their differences in points; rewards as they are.
SCALES = {"pass": 100, "maj": 100, "gain": 100, "bon": 1}
# What no value can leave, before it is scaled; None: nothing bounds it.
RANGES = {"pass": (0.0, 1.0), "maj": (0.0, 1.0), "gain": (-1.0, 1.0), "bon": None}
UNITS = {"pass": "%", "maj": "%", "gain": "%", "bon": "reward units"}
DIFFERENCE_UNITS = {"pass": "points", "maj": "points", "gain": "points", "bon": "reward units"}
