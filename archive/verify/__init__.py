"""The verifier: re-derives everything docs/FORMAT.md promises from the files alone, sharing no code with the
writer.
"""
