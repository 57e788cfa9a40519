"""What is asked in the lessons, a module for each."""
