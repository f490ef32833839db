"""What a server counts while it serves, and how its versions and answers compare."""
