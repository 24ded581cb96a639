"""The captive portal: where a person says who they are before using the internet."""
