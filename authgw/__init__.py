"""Identification of people: RADIUS, portal, accounts, directory."""
