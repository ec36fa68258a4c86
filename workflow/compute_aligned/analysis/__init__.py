"""From metrics to what they say: weights, gains, the diagonal approximation, claims."""
