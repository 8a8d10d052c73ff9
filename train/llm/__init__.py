"""LLMs behind an OpenAI-compatible endpoint: in go a policy and texts, out come verdicts."""
