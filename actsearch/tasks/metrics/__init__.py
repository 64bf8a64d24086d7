"""Metrics by the definitions of scikit-learn, in torch operations that run under `vmap` and wait for no device."""
