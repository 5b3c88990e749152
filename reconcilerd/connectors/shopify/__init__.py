"""Shopify Admin GraphQL: inventory slots, orders, compare-and-set corrections."""
