"""Agents that mean harm or are broken, each a program; `test_wire_adversaries.py` runs them."""
