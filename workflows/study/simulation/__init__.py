"""What is simulated, on which engine, and hot crystals of known structure."""
