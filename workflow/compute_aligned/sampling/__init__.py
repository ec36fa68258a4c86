"""Prompts to pools of samples, by transformers or vLLM."""
