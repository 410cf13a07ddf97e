"""Learning: data sets, training, fitting, and models from a few labeled particles."""
