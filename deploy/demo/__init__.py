"""An invented office that feeds a running appliance over loopback, for whoever wants to see it before trusting it."""
