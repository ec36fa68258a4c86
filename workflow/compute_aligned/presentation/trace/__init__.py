"""From a number, a verdict or a file back to samples, weights, data, settings and code."""
