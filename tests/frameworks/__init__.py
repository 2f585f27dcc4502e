"""Tests against frameworks in environments of their own; see the Makefile's test- targets."""
