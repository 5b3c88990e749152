"""The stages run continuously: pollers, passes, executors, and what keeps them alive."""
