"""Finding, recognising and exchanging activations inside any `nn.Module`."""
