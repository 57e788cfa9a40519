"""Why scores are what they are: kinds of errors, hard images, overfitting, cases to look at."""
