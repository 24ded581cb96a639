"""The sealer's parts: what a start finds, which spool files are ready, what other processes handed in."""
