"""What every package stands on; knows no model, no route, no record."""
