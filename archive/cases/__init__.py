"""Cases and holds: who asked on what ground, who approved, what was handed over, what may not be purged."""
