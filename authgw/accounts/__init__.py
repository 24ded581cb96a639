"""Accounts: the one writer, its socket, its client, and readers."""
