"""What a simulated solid is, by methods without learning."""
