"""What ties the log to the world: cosignatures of witnesses, time stamps of authorities, heads kept elsewhere."""
