"""Running the product: what operators do to it while it works."""
