"""What people say of texts: votes kept for ever, how far they agree, and what follows from them."""
