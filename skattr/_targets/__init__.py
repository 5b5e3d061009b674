"""Labels y: codes, weights, constraints."""
