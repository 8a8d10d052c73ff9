"""How fast the program is, each figure beside what one would otherwise run: scripts/bench."""
