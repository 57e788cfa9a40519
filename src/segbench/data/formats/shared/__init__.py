"""What several readers need: pairing, class lists, listings, options, values of strangers' files."""
