"""A real Kubernetes control plane on one machine, as child processes on loopback."""
