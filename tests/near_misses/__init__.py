"""Every parser before input that is almost right."""
