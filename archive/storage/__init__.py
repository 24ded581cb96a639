"""What happens as the disk fills: levels, who still writes at which, how long it lasts, and a second disk."""
