"""Random changes of training images, and of their labels with them."""
