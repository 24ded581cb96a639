"""Composition root: command line, configuration, supervisor."""
