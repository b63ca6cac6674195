"""What is found in an image by a prompt."""
