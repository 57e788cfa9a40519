"""What the files of a data set hold, found once and remembered."""
