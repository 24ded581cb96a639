"""Directories (OpenLDAP, Active Directory) behind one small interface."""
