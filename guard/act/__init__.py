"""Do it: the control table, the advisory locks, the cancel and the rollback hook. Nothing here decides."""
