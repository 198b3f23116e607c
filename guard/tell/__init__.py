"""Say it: notices to people, in order, at least once. It decides nothing and no decision waits for it."""
