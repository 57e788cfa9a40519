"""What a person writes: the configs of runs, studies and searches, checked before anything is read or trained."""
