"""The ask service: the only door to the data, which writes an audit record before every answer."""
