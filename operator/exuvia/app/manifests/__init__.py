"""Manifests made from what the code declares: CRDs from the models, RBAC from the declared rights, deploy/ from both."""
