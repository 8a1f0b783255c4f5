"""What back-propagation replaced or grew from: perceptron rule, delta rule, naive gradient, path sum."""
