"""Stage case: what one scenario needs and no other does. Methods that others could use live in their own stages."""
