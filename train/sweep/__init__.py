"""Many recipes that differ in a few values, trained one after another and held against each other."""
