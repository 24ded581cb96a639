"""How long records are kept, and what of a day is kept longer."""
