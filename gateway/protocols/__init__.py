"""One file per wire protocol, and the table of the paths they answer on."""
