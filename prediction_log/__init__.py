"""What happened: record, frame, and both ends of every transport."""
