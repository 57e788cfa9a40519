"""Shapes of annotation files: drawn as masks, traced from masks, kept by what they look like."""
