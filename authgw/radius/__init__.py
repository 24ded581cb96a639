"""RADIUS server: authentication (RFC 2865) and accounting (RFC 2866)."""
