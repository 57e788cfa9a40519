"""Where the pixels and labels of samples come from, one file a kind."""
