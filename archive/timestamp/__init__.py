"""RFC 3161 time stamps: asking an authority for one, and verifying it in two independent ways."""
