"""The version of the library, the service and the workers."""

__version__ = "0.1.0"
