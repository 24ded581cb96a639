"""The archive: journal, transparency log, index and the one door to the data."""
