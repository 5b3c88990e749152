"""What is looked at over HTTP: metrics, health, and the status page. Reads the daemon and changes nothing."""
