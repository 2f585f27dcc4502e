"""A designer's hand procedure that plays the language model: no model, the real wire."""
