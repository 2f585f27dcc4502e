"""One drawing script a circuit, called after its folder."""
