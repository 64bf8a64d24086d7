"""What can be searched: activations, architectures, tasks."""
