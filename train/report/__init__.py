"""The page a person opens first: everything a finished run says of itself, in one file."""
