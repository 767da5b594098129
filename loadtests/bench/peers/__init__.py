"""The same request to the model servers that people use, each in an environment of its own."""
