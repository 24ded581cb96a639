"""Evidence packages: BagIt bags that a stranger verifies with sha256sum, openssl and one script."""
