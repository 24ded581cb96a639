"""The filter language of search: text to terms to SQL with bound parameters. Pure."""
