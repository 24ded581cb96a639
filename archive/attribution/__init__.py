"""Who had an address: folding events into intervals, and how sure an answer is. Pure."""
