"""What others trained: accuracies of every network of a space."""
