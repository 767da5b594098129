"""One server per peer, in its framework's words; run by that peer's interpreter, imported by nothing here."""
