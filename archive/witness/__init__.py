"""C2SP tlog-witness: asking a witness for its cosignature, and being one for other logs."""
