"""A pretend business: one truth, the vendors' APIs over it, shoppers, faults. Also the sandbox that users get."""
