"""HTTP to other systems: clients, credentials, limits, retries. Alone knows httpx and aiolimiter."""
