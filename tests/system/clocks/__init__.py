"""A clock that is wrong, for a whole tree of processes."""
