"""Where the error of an int8 model arises, and why."""
