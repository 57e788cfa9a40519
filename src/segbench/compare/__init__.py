"""Runs, studies and other tools' masks, brought to one definition of a score over the same images."""
