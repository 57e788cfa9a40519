"""Studies: many runs over the same data, trained side by side, continued when killed, and measured alike."""
