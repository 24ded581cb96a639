"""Copies of the archive at other places, and what is needed to begin again from one."""
