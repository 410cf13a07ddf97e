"""What a simulated solid is, by methods that learn nothing."""
