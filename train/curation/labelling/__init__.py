"""Cells from language models: asked under the policy, held against people's cells, used only where they
hold."""
