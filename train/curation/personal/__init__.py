"""Personal data in texts: found by type, and replaced by what type it was."""
