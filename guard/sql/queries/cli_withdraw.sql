-- Take back an operator's orders of one kind; says how many there were.
select migration_guard.withdraw(%s, %s, %s)
