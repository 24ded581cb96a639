"""Each process of the appliance, built from the configuration; a module imports its own room and no other."""
