-- What is to be done: for its plan alone, which says about how many rows that are.
select from {table} where ({where})
