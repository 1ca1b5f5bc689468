"""exuvia keeps the machines of a Kubernetes cluster short-lived, clean and accounted for."""
