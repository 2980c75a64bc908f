"""What claims, runs, settles and rescues."""
