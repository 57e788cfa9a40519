"""What the doctor looks for, one file a kind of mistake."""
