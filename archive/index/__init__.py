"""The disposable index: sealed chunks decoded into ClickHouse rows, rebuilt from the journal at any time."""
