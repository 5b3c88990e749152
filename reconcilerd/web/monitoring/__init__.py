"""Alert rules, recording rules with their tests, and a dashboard: files to be given to Prometheus and Grafana."""
