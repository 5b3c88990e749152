"""Extensiv Order Manager: products, listings, stock, orders. Read only."""
