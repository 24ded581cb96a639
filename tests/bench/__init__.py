"""Benchmarks against peers. `make bench` prints one JSON line per figure; ratios are of one run, side by side."""
