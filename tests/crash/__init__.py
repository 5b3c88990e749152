"""The whole daemon on a real ledger, stopped dead at every step and started again."""
