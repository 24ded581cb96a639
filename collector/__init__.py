"""Receivers and decoders of syslog and flow export."""
