"""Manifests made from what the code declares: CRDs from the models, RBAC from the rights, deploy/ from both."""
