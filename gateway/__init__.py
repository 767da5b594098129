"""What answers: requests in, predictions out, routes obeyed, the log written."""
