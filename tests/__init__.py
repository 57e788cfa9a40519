"""A package, since another of the name may be installed; a process that is forked for a test imports from here."""
